package gateway

import (
	"math/rand/v2"
	"strconv"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/queue"
)

// bundle is the content of an answer.
type bundle struct {
	cursor message.Cursor
	// The messages are pieces, text and a large message by turns, and the text
	// behind them. A large one is not copied: it is shared with other answers.
	pieces [][]byte
	text   []byte
	size   int // of the messages
	gaps   []string
	count  int
	more   bool
	early  bool // what there is can't be told yet
	form   message.Form
}

// keep puts the position into the cursor that the client came with, for a
// channel of which it gets nothing this time.
func (b *bundle) keep(channel, node string, r *position.Resume, durableOnly bool) {
	list, elsewhere := r.Positions(channel, node)
	if r.IsTime() {
		// A cursor has no times, but it has positions at that time.
		list = []message.Position{{Ms: r.At.Time() - min(r.At.Time(), fanout.Overlap)}}
		if !durableOnly && r.At.Node == node {
			list = append(list, r.At)
		}
	}
	if elsewhere && !durableOnly || len(list) == 0 || len(list) == 1 && !list[0].Durable() && list[0].Node != node {
		// It has no position to come back with, or none for all of it, and
		// might miss something.
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

// gap tells that messages of a channel may be missing.
func (b *bundle) gap(channel string) {
	if n := len(b.gaps); n == 0 || b.gaps[n-1] != channel {
		b.gaps = append(b.gaps, channel)
	}
}

// responseBytes is how many bytes of messages an answer has, or one message. To encode
// them takes the loop less than 2 ms; the client's next poll goes on behind them.
const responseBytes = 512 << 10

// share decides how many messages of each channel go into the answer: up to left
// in all, and of most bytes, though one at least. The channels take turns, and any of
// them may be the first, so that a busy one doesn't keep the others out.
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

// response returns the answer with the cursor's text, in pieces.
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

// part is what one channel has for a poll.
type part struct {
	channel  string
	messages []*message.Message
	history  int // of the messages, those from before the poll came
	before   message.Position
	newest   bool             // the client came for the newest, and has no position
	more     bool             // there is more of the stream behind messages
	end      message.Position // of messages, where there is more
	taken    int              // of the messages, those that fit into the answer
	recent   fanout.Recent
}

// mark puts the channel's position after the messages that were taken into the
// cursor: the durable one, which is 0-0 while there is no stream, and unless that
// tells all, the plain one. That is exact on this node, and elsewhere it tells
// that there may be a gap. False: nothing was taken of what the client came back
// for, so it is where it was.
func (p *part) mark(cursor *message.Cursor, channel string) bool {
	if p.taken == 0 && p.history > 0 {
		return false
	}
	durable, plain := p.durable(), p.plain()
	switch {
	case !plain.IsZero() && (p.recent.Lossy || durable.IsZero()):
		cursor.Set(channel, plain)
	case plain.IsZero() && p.recent.Lossy && (p.taken < len(p.messages) || p.more):
		// Within the stream there is no plain position, and yet another node has
		// to tell that there were plain messages.
		cursor.Set(channel, message.Position{Node: p.recent.Plain.Node})
	}
	if !p.recent.Lossy || !durable.IsZero() {
		cursor.Set(channel, durable)
	}
	return true
}

// markBefore puts the channel's position before all of its messages into the
// cursor, of a client that came without one: with a time, or for the newest.
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

// plain returns the plain position after the messages that were taken, zero
// when the last of them was read from a stream and has none.
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

// durable returns the last durable position that the client has seen with the
// messages that were taken, or may have seen before them.
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
