package longpoll

import (
	"math/rand/v2"
	"strconv"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/queue"
)

// bundle is the content of a poll response.
type bundle struct {
	cursor message.Cursor
	// The messages are pieces, alternating text and a large message, and the text behind them. A
	// large message is not copied but shared with other responses.
	pieces [][]byte
	text   []byte
	size   int // of the messages
	gaps   []string
	count  int
	more   bool
	early  bool // the messages can't be determined yet
	form   message.Form
}

// keep copies the client's position into the cursor, for a channel without messages in this
// response.
func (b *bundle) keep(channel, node string, r *position.Resume, durableOnly bool) {
	list, elsewhere := r.Positions(channel, node)
	if r.IsTime() {
		// A cursor holds no times, but it can hold the positions at that time.
		list = []message.Position{{Ms: r.At.Time() - min(r.At.Time(), fanout.Overlap)}}
		if !durableOnly && r.At.Node == node {
			list = append(list, r.At)
		}
	}
	if elsewhere && !durableOnly || len(list) == 0 || len(list) == 1 && !list[0].Durable() && list[0].Node != node {
		// The client has no position to resume from, or none that covers everything, and might miss
		// something.
		b.gap(channel)
	}
	if p, ok := r.Cursor.Plain(channel); ok && p.Seq == 0 && p.Node == node {
		b.cursor.Set(channel, p) // see part.mark
	}
	for _, p := range list {
		if p.Durable() || p.Node == node {
			b.cursor.Set(channel, p)
		}
	}
}

// gap notes that messages of a channel may be missing.
func (b *bundle) gap(channel string) {
	if n := len(b.gaps); n == 0 || b.gaps[n-1] != channel {
		b.gaps = append(b.gaps, channel)
	}
}

// ResponseBytes bounds the messages of a response, though a single one may exceed it. Encoding that
// much takes the loop less than 2 ms; the client's next poll continues behind them.
const ResponseBytes = 512 << 10

// share decides how many messages of each channel go into the response: up to left in all, and most
// bytes, but at least one. The channels take turns from a random start, so that a busy one doesn't
// starve the others.
func (b *bundle) share(parts []part, left, most int) {
	var turns []*part
	for k := range parts {
		if len(parts[k].messages) > 0 {
			turns = append(turns, &parts[k])
		}
	}
	if n := len(turns); n > 1 {
		first := rand.IntN(n)
		turns = append(turns[first:], turns[:first]...)
	}
	for size, taken := 0, 0; len(turns) > 0; {
		again := turns[:0]
		for _, p := range turns {
			size += len(p.messages[p.taken].Encoded(b.form))
			if taken == left || size > most && taken > 0 {
				return
			}
			taken++
			if p.taken++; p.taken < len(p.messages) {
				again = append(again, p)
			}
		}
		turns = again
	}
}

// add encodes messages.
func (b *bundle) add(messages []*message.Message) {
	for _, m := range messages {
		if b.count > 0 {
			b.text = append(b.text, ',')
			b.size++
		}
		e := m.Encoded(b.form)
		if len(e) < queue.LargeBytes {
			b.text = append(b.text, e...)
		} else {
			b.pieces = append(b.pieces, b.text, e)
			b.text = nil
		}
		b.size += len(e)
		b.count++
	}
}

// response returns the HTTP response with the cursor's text, in pieces.
func (b *bundle) response(cursor []byte, o http1.Options) [][]byte {
	end := append([]byte(nil), `],"gaps":[`...)
	for i, name := range b.gaps {
		if i > 0 {
			end = append(end, ',')
		}
		end = append(append(append(end, '"'), name...), '"') // no byte of a name needs escaping
	}
	end = append(strconv.AppendBool(append(end, `],"more":`...), b.more), '}')
	const begin, middle = `{"cursor":"`, `","messages":[`
	pieces := append(b.pieces, append(b.text, end...))
	first := http1.AppendHead(make([]byte, 0, len(pieces[0])+len(cursor)+512), 200, len(begin)+len(cursor)+len(middle)+b.size+len(end), o)
	first = append(append(append(first, begin...), cursor...), middle...)
	pieces[0] = append(first, pieces[0]...)
	return pieces
}

// part is one channel's contribution to a poll response.
type part struct {
	channel  string
	messages []*message.Message
	history  int // of the messages, those from before the poll
	before   message.Position
	newest   bool             // the client asked for the newest, and has no position
	more     bool             // the stream continues behind messages
	end      message.Position // of messages, if more is set
	taken    int              // of the messages, those that fit into the response
	recent   fanout.Recent
}

// mark sets the cursor to the channel's position after the messages taken: the durable one, which
// is 0-0 while there is no stream, and, unless that is sufficient, the plain one, which is exact on
// this node and signals a possible gap elsewhere. It returns false if none of the history that the
// client asked for was taken, so its position hasn't moved.
func (p *part) mark(cursor *message.Cursor, channel string) bool {
	if p.taken == 0 && p.history > 0 {
		return false
	}
	durable, plain := p.durable(), p.plain()
	switch {
	case !plain.IsZero() && (p.recent.Lossy || durable.IsZero()):
		cursor.Set(channel, plain)
	case plain.IsZero() && p.recent.Lossy && (p.taken < len(p.messages) || p.more):
		// Within the stream there is no plain position, yet another node must know that there were
		// plain messages.
		cursor.Set(channel, message.Position{Node: p.recent.Plain.Node})
	}
	if !p.recent.Lossy || !durable.IsZero() {
		cursor.Set(channel, durable)
	}
	return true
}

// markBefore sets the cursor to the channel's position before all of its messages, for a client
// without a position: it asked by time, or for the newest.
func (p *part) markBefore(cursor *message.Cursor, channel, node string) {
	cursor.Set(channel, p.before)
	switch at := p.messages[0].Arrived; {
	case !p.recent.Lossy:
	case at > 0:
		cursor.Set(channel, message.Position{Node: node, Seq: at - 1})
	case p.newest: // as in mark
		cursor.Set(channel, message.Position{Node: node})
	}
}

// plain returns the plain position after the messages taken, zero when the last of them was read
// from a stream and has none.
func (p *part) plain() message.Position {
	n := len(p.messages)
	switch {
	case p.taken == n && p.more:
		return message.Position{}
	case p.taken == n, p.recent.Plain.IsZero():
		return p.recent.Plain
	}
	plain := p.recent.Plain
	if p.taken == 0 {
		plain.Seq = p.messages[0].Arrived - 1
	} else if plain.Seq = p.messages[p.taken-1].Arrived; plain.Seq == 0 {
		return message.Position{}
	}
	return plain
}

// durable returns the last durable position that the client has seen with the messages taken, or
// may have seen before them.
func (p *part) durable() message.Position {
	if p.taken == len(p.messages) && p.more {
		return p.end
	}
	for i := p.taken - 1; i >= 0; i-- {
		if id := p.messages[i].ID; id.Durable() {
			return id
		}
	}
	if p.taken < len(p.messages) {
		return p.messages[p.taken].Before()
	}
	return p.recent.Durable
}
