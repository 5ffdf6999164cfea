package fanout

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/fanout/message"
)

// mark begins and ends the head in front of a payload in Redis:
//
//	payload                          plain
//	mark id mark payload             durable, with its stream id
//	mark U mark user mark payload    plain, from a user: a JSON string
//	mark U id mark user mark payload durable, from a user
//	mark F mark                      no message: the channel's past is forgotten
//	mark F id mark                   the same, where id stands for it in the stream
//	mark P mark …                    reserved: never shown to clients
//
// A JSON string holds no mark, and the payload follows the last of these: nothing in it
// is looked at.
const (
	mark         = '\x1e'
	userMark     = 'U'
	forgetMark   = 'F'
	reservedMark = "\x1eP\x1e"
)

// parseWire takes a message as Redis delivers it apart. Anything that isn't exactly of
// one of the forms is a plain message and belongs to its publisher from the first byte;
// it is not ok in the reserved form.
func parseWire(s string) (m heldMessage, ok bool) {
	if strings.HasPrefix(s, reservedMark) {
		return m, false
	}
	if head, rest, marked := cutMark(s, maxIDBytes+1); marked {
		if m, marked = parseMarked(head, rest); marked {
			return m, true
		}
	}
	return heldMessage{payload: s}, true
}

// parseMarked reads the forms that begin with a mark, head and another one.
func parseMarked(head, rest string) (m heldMessage, ok bool) {
	m.payload = rest
	if upTo, found := strings.CutPrefix(head, string(forgetMark)); found && rest == "" {
		m.forget = true
		if upTo == "" {
			return m, true
		}
		id, err := message.ParsePosition(upTo)
		m.id = id.StreamID()
		return m, err == nil && id.Durable() && !id.IsZero()
	}
	if user, found := strings.CutPrefix(head, string(userMark)); found {
		var text string
		head = user
		if text, m.payload, ok = strings.Cut(rest, string(mark)); !ok {
			return m, false
		}
		if m.user, ok = parseUser(text); !ok || head == "" {
			return m, ok
		}
	}
	id, err := message.ParsePosition(head)
	m.id, m.durable = id.StreamID(), true
	return m, err == nil && id.Durable() && !id.IsZero()
}

// cutMark returns the text between two marks, at most so many bytes of it, and the rest
// behind the second.
func cutMark(s string, most int) (head, rest string, ok bool) {
	if len(s) == 0 || s[0] != mark {
		return "", "", false
	}
	end := strings.IndexByte(s[1:min(len(s), most+2)], mark) + 1
	if end <= 0 {
		return "", "", false
	}
	return s[1:end], s[end+1:], true
}

// parseUser reads a JSON string.
func parseUser(text string) (user string, ok bool) {
	if len(text) == 0 || text[0] != '"' {
		return "", false
	}
	return user, json.Unmarshal([]byte(text), &user) == nil
}

// withUser returns a plain message as it is published for a user.
func withUser(payload []byte, user string) []byte {
	quoted, _ := json.Marshal(user) // a string always can be
	return slices.Concat([]byte{mark, userMark, mark}, quoted, []byte{mark}, payload)
}

// maxIDBytes is the length of the longest stream id: two numbers of 20 digits.
const maxIDBytes = 41

// names makes the names that the broker uses in Redis.
type names struct {
	prefix string
}

// channel returns the pub/sub channel of a channel.
func (n names) channel(name string) string { return n.prefix + name }

// stream returns the key of the stream of a pub/sub channel. The braces put it into one
// Redis Cluster slot with everything else of the channel.
func (n names) stream(full string) string { return "{" + full + "}:log" }

// once returns the key that remembers an idempotency key of a pub/sub channel.
func (n names) once(full, key string) string { return "{" + full + "}:once:" + key }

// probe returns the pub/sub channel on which a connection hears its own probes. No client
// can name it: ValidChannel refuses the bar.
func (n names) probe(node, link string) string { return n.prefix + "|probe|" + node + "|" + link }

// nodes returns the key of the nodes by their last beat, node the key of each one's status, and
// control the pub/sub channel of commands to all of them. No client can name these:
// ValidChannel refuses the asterisk.
func (n names) nodes() string   { return "{" + n.prefix + "*}:nodes" }
func (n names) node() string    { return "{" + n.prefix + "*}:node" }
func (n names) control() string { return n.prefix + "*control" }
