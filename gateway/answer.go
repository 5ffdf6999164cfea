package gateway

import (
	"bytes"
	"strconv"

	"pushgate/fanout"
)

// bundle is the content of an answer.
type bundle struct {
	cursor   fanout.Cursor
	messages bytes.Buffer
	gaps     []string
	count    int
	more     bool
	early    bool // what there is can't be told yet
	form     fanout.Form
}

// gather collects what the channels of a poll have for it, up to its most; now
// says that it can't wait for anything.
func (s *shard) gather(c *conn, now bool) *bundle {
	b := &bundle{form: fanout.FormJSON}
	if c.flags&flagRaw != 0 {
		b.form = fanout.FormData
	}
	var before []missed
	if c.poll != 0 {
		before = s.polls.at(c.poll).missed
	}
	left := int(c.max)
	s.index.Each(c.subs, func(sub fanout.Sub, ch fanout.Channel) {
		name := s.index.Name(ch)
		if s.index.Held(sub) {
			b.keep(name, s.srv.node, &s.polls.at(c.poll).resume)
			return
		}
		from := s.index.From(sub)
		r := s.srv.broker.Since(name, from)
		part := part{messages: r.Messages, from: from, recent: r}
		gap := !r.Complete
		if gap && s.comeBack(c, b, name, from, now) {
			return
		}
		for _, m := range before {
			if m.channel == ch {
				part.history = len(m.messages)
				part.messages = append(m.messages[:len(m.messages):len(m.messages)], r.Messages...)
				gap = gap || m.gap
			}
		}
		if gap {
			b.gaps = append(b.gaps, name)
		}
		part.taken = min(left, len(part.messages))
		left -= part.taken
		b.more = b.more || part.taken < len(part.messages)
		b.add(part.messages[:part.taken])
		if !part.mark(&b.cursor, name) {
			b.keep(name, s.srv.node, &s.polls.at(c.poll).resume)
		}
	})
	return b
}

// keep puts the position into the cursor that the client came with, for a
// channel of which it gets nothing this time.
func (b *bundle) keep(channel, node string, r *resume) {
	list := r.positions(channel, node)
	if len(list) == 0 {
		// It has no position to come back with, and might miss something.
		b.gaps = append(b.gaps, channel)
	}
	for _, p := range list {
		if p == unknown {
			b.gaps = append(b.gaps, channel)
			return
		}
		b.cursor.Set(channel, p)
	}
}

// comeBack leaves a channel whose ring no longer has all messages after from to
// the client's next poll, which will read them from the stream, if the client
// has a position for that.
func (s *shard) comeBack(c *conn, b *bundle, channel string, from uint32, now bool) bool {
	if c.poll == 0 {
		p, ok := s.answers.position(channel, from)
		switch {
		case !ok && !now:
			b.early = true
		case !ok || p == unknown:
			return false
		default:
			b.cursor.Set(channel, p)
			b.more = true
		}
		return true
	}
	r := &s.polls.at(c.poll).resume
	if list := r.positions(channel, s.srv.node); len(list) == 0 || list[0] == unknown {
		return false
	}
	b.keep(channel, s.srv.node, r)
	b.more = true
	return true
}

// add encodes messages.
func (b *bundle) add(messages []*fanout.Message) {
	for _, m := range messages {
		if b.count > 0 {
			b.messages.WriteByte(',')
		}
		b.messages.Write(m.Encoded(b.form))
		b.count++
	}
}

// json returns the body of an answer.
func (b *bundle) json(cursor []byte) []byte {
	out := make([]byte, 0, b.messages.Len()+len(cursor)+64)
	out = append(append(append(out, `{"cursor":"`...), cursor...), `","messages":[`...)
	out = append(append(out, b.messages.Bytes()...), `],"gaps":[`...)
	for i, name := range b.gaps {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), '"') // no byte of a name needs escaping
	}
	return append(strconv.AppendBool(append(out, `],"more":`...), b.more), '}')
}

// part is what one channel has for a poll.
type part struct {
	messages []*fanout.Message
	history  int // of the messages, those from before the poll came
	taken    int // of the messages, those that fit into the answer
	from     uint32
	recent   fanout.Recent
}

// mark puts the channel's position after the messages that were taken into the
// cursor: the plain one, exact on this node, and the durable one for others.
// False: nothing was taken of what the client came back for, so it is where it
// was.
func (p *part) mark(cursor *fanout.Cursor, channel string) bool {
	if p.taken == 0 && p.history > 0 {
		return false
	}
	if plain := p.plain(); !plain.IsZero() {
		cursor.Set(channel, plain)
	}
	if durable := p.durable(); !durable.IsZero() {
		cursor.Set(channel, durable)
	}
	return true
}

// plain returns the plain position after the messages that were taken, zero
// when the last of them was read from a stream and has none.
func (p *part) plain() fanout.Position {
	n := len(p.messages)
	if p.taken == n || p.recent.Plain.IsZero() {
		return p.recent.Plain
	}
	at := p.from
	if p.taken > 0 {
		last := p.messages[p.taken-1]
		switch {
		case !last.ID.Durable():
			return last.ID
		case p.taken <= p.history:
			return fanout.Position{}
		}
		at = last.Seq
	}
	plain := p.recent.Plain
	plain.Seq -= uint64(p.messages[n-1].Seq - at)
	return plain
}

// durable returns the last durable position that the client has seen with the
// messages that were taken, or may have seen before them.
func (p *part) durable() fanout.Position {
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
