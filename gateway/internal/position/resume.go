// Package position reads the positions that clients resume from: a cursor or the id of a message,
// under any of the parameter names that clients and their libraries use.
package position

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/fanout/message"
)

// Resume is the position that a client resumes from. The zero value is a new client.
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

// Narrow removes all channels but these, the requested ones, from the cursor: a request may wait
// for Redis, and must not keep a cursor of 4,096 channels meanwhile.
func (r *Resume) Narrow(channels ...string) {
	all := r.Cursor.Len()
	if !r.exact || all <= len(channels) {
		return // no longer than the request
	}
	if r.Cursor = r.Cursor.Only(channels...); r.Cursor.Len() < all {
		r.Text = r.Cursor.String()
	}
}

// IsTime reports whether the position is a point in time: the id of a message of one of several
// channels.
func (r *Resume) IsTime() bool { return r.given && !r.exact && r.Several }

// Positions returns the positions to resume a channel from, best first; none for a channel that
// starts now. node is this node's name. elsewhere: there was also a plain position of another node,
// whose messages this one may have missed.
//
// A bare id is exact for a client with one channel. With several it doesn't name its channel, but
// it has a time, at which the client had all of its channels.
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

// AppendUnused appends the text of a position in a channel without messages: 0-0 of its stream,
// should it get one, and a plain one on this node. It says more than either: a client that resumes
// from it misses nothing of a durable channel, on any node, and learns of possible losses in a
// plain one.
func AppendUnused(dst []byte, channel string, plain message.Position) []byte {
	c := message.NewCursor(channel, message.Position{}, plain)
	return c.AppendTo(dst)
}

// Name classifies a parameter's name as a position.
type Name uint8

const (
	None    Name = iota
	Strange      // a position, but under an unknown name
	Written      // in the URL that a page wrote
	Added        // added to that URL by a reconnecting library: it is newer
)

// Named classifies a name in a query or a message, in any case and however its words are joined.
// Libraries use spellings of the header's name: lastEventId (Yaffle's polyfill), evs_last_event_id
// (amvtek's), lastEventID and Last-Event-ID (Mercure's clients).
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

// LooksLike reports whether a parameter's value, whatever its name, can hardly be anything but a
// position from the gateway.
func LooksLike(value string) bool {
	const first = 1e12 // milliseconds: the year 2001
	r, err := Parse(value)
	return err == nil && (r.exact || !r.At.Durable() || r.At.Ms >= first)
}

// MisnamedText returns the message of the error for a position under an unknown name, which would be ignored and its
// client's missed messages lost.
func MisnamedText(name, known string) string {
	return fmt.Sprintf("a position is given as %s, not as %.40q", known, name)
}
