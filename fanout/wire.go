package fanout

import "strings"

// durableMark stands before and after the stream id that a durable message
// carries in front of its payload.
const durableMark = '\x1e'

// parseWire takes a payload from Redis apart: the stream id and the bare
// payload of a durable message. Anything that isn't exactly of that form is a
// plain message and belongs to its publisher from the first byte.
func parseWire(s string) (id Position, payload string, durable bool) {
	if len(s) == 0 || s[0] != durableMark {
		return Position{}, s, false
	}
	end := strings.IndexByte(s[1:], durableMark) + 1
	if end <= 0 || end > maxIDBytes+1 {
		return Position{}, s, false
	}
	id, err := ParsePosition(s[1:end])
	if err != nil || !id.Durable() || id.IsZero() {
		return Position{}, s, false
	}
	return id, s[end+1:], true
}

// maxIDBytes is the length of the longest stream id: two numbers of 20 digits.
const maxIDBytes = 41

// names makes the names that the broker uses in Redis.
type names struct {
	prefix string
}

// channel returns the pub/sub channel of a channel.
func (n names) channel(name string) string { return n.prefix + name }

// stream returns the key of the stream of a pub/sub channel. The braces put it
// into one Redis Cluster slot with everything else of the channel.
func (n names) stream(full string) string { return "{" + full + "}:log" }

// once returns the key that remembers an idempotency key of a pub/sub channel.
func (n names) once(full, key string) string { return "{" + full + "}:once:" + key }

// probe returns the pub/sub channel on which a connection hears its own
// probes. No client can name it: ValidChannel refuses the bar.
func (n names) probe(node, link string) string { return n.prefix + "|probe|" + node + "|" + link }
