package gateway

import (
	"time"

	"pushgate/fanout"
)

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

// isTime reports whether the position is one in time: the id of a durable
// message of one of several channels.
func (r *resume) isTime() bool { return r.given && !r.exact && r.several && r.at.Durable() }

// overlap is how far behind a bare id the other channels of a client resume:
// more than messages of different channels can overtake each other by.
const overlap = 10 * time.Second

// unknown is a position that no node can honour: what follows it is all that
// is left, and a gap.
var unknown = fanout.Position{Node: "unknown"}

// positions returns from where a channel is resumed, best first; none for a
// channel that starts now. node is this one's name.
//
// A bare id is exact for a client with one channel. Of several it doesn't say
// whose it is. A durable one is a time, so all channels resume from a little
// before; a plain one counts the messages of one channel and says nothing of
// the others.
func (r *resume) positions(channel, node string) []fanout.Position {
	switch {
	case !r.given:
		return nil
	case r.exact:
		var list []fanout.Position
		plain, isPlain := r.cursor.Plain(channel)
		if isPlain && plain.Node == node {
			list = append(list, plain)
		}
		if durable, ok := r.cursor.Durable(channel); ok {
			list = append(list, durable)
		} else if isPlain && plain.Node != node {
			list = append(list, plain)
		}
		return list
	case !r.several:
		return []fanout.Position{r.at}
	case r.isTime():
		back := uint64(overlap.Milliseconds())
		return []fanout.Position{{Ms: r.at.Ms - min(r.at.Ms, back)}}
	}
	return []fanout.Position{unknown}
}
