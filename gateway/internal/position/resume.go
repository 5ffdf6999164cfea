// Package position reads where clients say that they were: a cursor or the id of a message,
// under whatever name a client or its library gives it.
package position

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/fanout/message"
)

// Resume is where a client says that it was. The zero value is a client that
// comes for the first time.
type Resume struct {
	given   bool
	Text    string
	At      message.Position // a bare id
	Cursor  message.Cursor   // or the cursor of a poll
	exact   bool             // it is a cursor
	Several bool             // the client has several channels
}

// Parse reads a cursor or a bare id.
func Parse(text string) (r Resume, err error) {
	r = Resume{given: true, Text: text}
	if r.exact = message.IsCursor(text); r.exact {
		r.Cursor, err = message.ParseCursor(text)
	} else {
		r.At, err = message.ParsePosition(text)
	}
	return r, err
}

// Narrow leaves what concerns these channels, which the client asks for: a request
// may wait for Redis, and must not keep a cursor of 4,096 channels meanwhile.
func (r *Resume) Narrow(channels ...string) {
	all := r.Cursor.Len()
	if !r.exact || all <= len(channels) {
		return // it's no longer than the request
	}
	if r.Cursor = r.Cursor.Only(channels...); r.Cursor.Len() < all {
		r.Text = r.Cursor.String()
	}
}

// IsTime reports whether the position is one in time: the id of a message of
// one of several channels.
func (r *Resume) IsTime() bool { return r.given && !r.exact && r.Several }

// Positions returns from where a channel is resumed, best first; none for a
// channel that starts now. node is this one's name. elsewhere: there was a plain
// position of another node too, whose messages this one may have missed.
//
// A bare id is exact for a client with one channel. Of several it doesn't say
// whose it is, but it has a time, and the client had all of its channels then.
func (r *Resume) Positions(channel, node string) (list []message.Position, elsewhere bool) {
	switch {
	case !r.given:
		return nil, false
	case !r.exact:
		return []message.Position{r.At}, r.IsTime() && !r.At.Durable() && r.At.Node != node
	}
	durable, plain, isDurable, isPlain := r.Cursor.Both(channel)
	elsewhere = isPlain && isDurable && plain.Node != node
	if isPlain && !elsewhere && plain.Seq > 0 { // 0 is for other nodes: see part.mark
		list = append(list, plain)
	}
	if isDurable {
		list = append(list, durable)
	}
	return list, elsewhere
}

// AppendUnused appends the text of a position in a channel that has had nothing
// yet: 0-0 of its stream, should it get one, and a plain one on this node. It says
// more than either: who comes back with it misses nothing of a durable channel,
// on any node, and hears of what it may have missed of a plain one.
func AppendUnused(dst []byte, channel string, plain message.Position) []byte {
	c := message.NewCursor(channel, message.Position{}, plain)
	return c.AppendTo(dst)
}

// Name says what the name of a parameter has to do with positions.
type Name uint8

const (
	None    Name = iota
	Strange      // a position is meant, but by a name that isn't known
	Written      // in the address that a page wrote
	Added        // by a library that comes back, to whatever address the page wrote: it is the newer one
)

// Named tells the names of positions in a query or a message, in any
// case and however their words are joined. What libraries call theirs is the
// header's name in some spelling: lastEventId (Yaffle's polyfill),
// evs_last_event_id (amvtek's), lastEventID and Last-Event-ID (Mercure's clients).
func Named(name string) Name {
	name = strings.ToLower(wordJoints.Replace(name))
	switch {
	case name == "cursor", name == "since":
		return Written
	case strings.Contains(name, "lasteventid"):
		return Added
	case strings.HasPrefix(name, "last") && slices.ContainsFunc(lastOf, func(s string) bool { return strings.HasSuffix(name, s) }):
		return Strange
	}
	switch name {
	case "after", "afterid", "eventid", "messageid", "offset", "pollcursor", "position", "resume", "resumefrom", "sinceid", "startid":
		return Strange
	}
	return None
}

// lastOf ends the names of positions that begin with last: lastId, last_message.
var lastOf = []string{"cursor", "event", "id", "message", "msg", "offset", "position", "seq"}

var wordJoints = strings.NewReplacer("-", "", "_", "", ".", "")

// LooksLike reports whether the value of a parameter of whatever name can
// hardly be anything but a position that the gateway has given out.
func LooksLike(value string) bool {
	const first = 1e12 // milliseconds: the year 2001
	r, err := Parse(value)
	return err == nil && (r.exact || !r.At.Durable() || r.At.Ms >= first)
}

// ErrStrange refuses a parameter that would be ignored, and with it
// whatever the client has missed.
func ErrStrange(name, known string) string {
	return fmt.Sprintf("a position is given as %s, not as %.40q", known, name)
}
