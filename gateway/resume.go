package gateway

import "pushgate/fanout"

// resume is where a client says that it was. The zero value is a client that
// comes for the first time.
type resume struct {
	given   bool
	text    string
	at      fanout.Position // a bare id
	cursor  fanout.Cursor   // or the cursor of a poll
	exact   bool            // it is a cursor
	several bool            // the client has several channels
}

// parseResume reads a cursor or a bare id.
func parseResume(text string) (r resume, err error) {
	r = resume{given: true, text: text}
	if r.exact = fanout.IsCursor(text); r.exact {
		r.cursor, err = fanout.ParseCursor(text)
	} else {
		r.at, err = fanout.ParsePosition(text)
	}
	return r, err
}

// isTime reports whether the position is one in time: the id of a message of
// one of several channels.
func (r *resume) isTime() bool { return r.given && !r.exact && r.several }

// positions returns from where a channel is resumed, best first; none for a
// channel that starts now. node is this one's name. elsewhere: there was a plain
// position of another node too, whose messages this one may have missed.
//
// A bare id is exact for a client with one channel. Of several it doesn't say
// whose it is, but it has a time, and the client had all of its channels then.
func (r *resume) positions(channel, node string) (list []fanout.Position, elsewhere bool) {
	switch {
	case !r.given:
		return nil, false
	case !r.exact:
		return []fanout.Position{r.at}, r.isTime() && !r.at.Durable() && r.at.Node != node
	}
	plain, isPlain := r.cursor.Plain(channel)
	durable, isDurable := r.cursor.Durable(channel)
	elsewhere = isPlain && isDurable && plain.Node != node
	if isPlain && !elsewhere && plain.Seq > 0 { // 0 is for other nodes: see part.mark
		list = append(list, plain)
	}
	if isDurable {
		list = append(list, durable)
	}
	return list, elsewhere
}

// appendUnused appends the text of a position in a channel that has had nothing
// yet: 0-0 of its stream, should it get one, and a plain one on this node. It says
// more than either: who comes back with it misses nothing of a durable channel,
// on any node, and hears of what it may have missed of a plain one.
func appendUnused(dst []byte, channel string, plain fanout.Position) []byte {
	c := fanout.NewCursor(channel, fanout.Position{}, plain)
	return c.AppendTo(dst)
}
