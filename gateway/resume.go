package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
)

// resume is where a client says that it was. The zero value is a client that
// comes for the first time.
type resume struct {
	given   bool
	text    string
	at      message.Position // a bare id
	cursor  message.Cursor   // or the cursor of a poll
	exact   bool             // it is a cursor
	several bool             // the client has several channels
}

// parseResume reads a cursor or a bare id.
func parseResume(text string) (r resume, err error) {
	r = resume{given: true, text: text}
	if r.exact = message.IsCursor(text); r.exact {
		r.cursor, err = message.ParseCursor(text)
	} else {
		r.at, err = message.ParsePosition(text)
	}
	return r, err
}

// narrow leaves what concerns these channels, which the client asks for: a request
// may wait for Redis, and must not keep a cursor of 4,096 channels meanwhile.
func (r *resume) narrow(channels ...string) {
	all := r.cursor.Len()
	if !r.exact || all <= len(channels) {
		return // it's no longer than the request
	}
	if r.cursor = r.cursor.Only(channels...); r.cursor.Len() < all {
		r.text = r.cursor.String()
	}
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
func (r *resume) positions(channel, node string) (list []message.Position, elsewhere bool) {
	switch {
	case !r.given:
		return nil, false
	case !r.exact:
		return []message.Position{r.at}, r.isTime() && !r.at.Durable() && r.at.Node != node
	}
	durable, plain, isDurable, isPlain := r.cursor.Both(channel)
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
func appendUnused(dst []byte, channel string, plain message.Position) []byte {
	c := message.NewCursor(channel, message.Position{}, plain)
	return c.AppendTo(dst)
}

// beforeNewest returns the text of the position before the newest messages of a
// channel, for a client that is cut off before it gets them: the durable one alone
// where that tells all.
func (s *shard) beforeNewest(channel string, r *fanout.Replay) string {
	before, plain := r.Before, r.Position
	switch {
	case len(r.Messages) == 0:
		if r.Position.Durable() {
			return r.Position.String()
		}
	case r.DurableOnly:
		return before.String()
	default:
		plain = message.Position{Node: s.srv.node}
		if at := r.Messages[0].Arrived; at > 0 {
			plain.Seq = at - 1
		}
	}
	c := message.NewCursor(channel, before, plain)
	return c.String()
}

// positionName says what the name of a parameter has to do with positions.
type positionName uint8

const (
	noPosition      positionName = iota
	strangePosition              // a position is meant, but by a name that isn't known
	writtenPosition              // in the address that a page wrote
	addedPosition                // by a library that comes back, to whatever address the page wrote: it is the newer one
)

// positionNamed tells the names of positions in a query or a message, in any
// case and however their words are joined. What libraries call theirs is the
// header's name in some spelling: lastEventId (Yaffle's polyfill),
// evs_last_event_id (amvtek's), lastEventID and Last-Event-ID (Mercure's clients).
func positionNamed(name string) positionName {
	name = strings.ToLower(wordJoints.Replace(name))
	switch {
	case name == "cursor", name == "since":
		return writtenPosition
	case strings.Contains(name, "lasteventid"):
		return addedPosition
	case strings.HasPrefix(name, "last") && slices.ContainsFunc(lastOf, func(s string) bool { return strings.HasSuffix(name, s) }):
		return strangePosition
	}
	switch name {
	case "after", "afterid", "eventid", "messageid", "offset", "pollcursor", "position", "resume", "resumefrom", "sinceid", "startid":
		return strangePosition
	}
	return noPosition
}

// lastOf ends the names of positions that begin with last: lastId, last_message.
var lastOf = []string{"cursor", "event", "id", "message", "msg", "offset", "position", "seq"}

var wordJoints = strings.NewReplacer("-", "", "_", "", ".", "")

// isPosition reports whether the value of a parameter of whatever name can
// hardly be anything but a position that the gateway has given out.
func isPosition(value string) bool {
	const first = 1e12 // milliseconds: the year 2001
	r, err := parseResume(value)
	return err == nil && (r.exact || !r.at.Durable() || r.at.Ms >= first)
}

// errStrangePosition refuses a parameter that would be ignored, and with it
// whatever the client has missed.
func errStrangePosition(name, known string) string {
	return fmt.Sprintf("a position is given as %s, not as %.40q", known, name)
}
