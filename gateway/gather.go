package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
)

// pollForm returns the encoding of messages in a poll response.
func (c *client) pollForm() message.Form {
	if c.flags&flagRaw != 0 {
		return message.FormData
	}
	return message.FormJSON
}

// gathering is a poll response under construction, a slice of its channels at a time.
type gathering struct {
	bundle
	now      bool      // respond without waiting for anything
	next     index.Sub // the channel to continue with, 0 for the first
	all      bool      // all channels were visited
	parts    []part    // of channels with messages
	marked   int       // of parts, those with their position in the cursor
	shared   bool      // share has run
	held     int       // channels that haven't begun
	position []byte    // the cursor's text
}

// gatherSome collects a slice of a poll's channels and reports whether the response is complete.
func (s *shard) gatherSome(c *client, g *gathering) (done bool) {
	switch {
	case !g.all:
		if c.poll != 0 {
			s.polls.At(c.poll).sortMissed()
		}
		g.next = s.index.EachSome(c.subs, g.next, taskSlice, func(sub index.Sub, ch index.Channel) { s.gatherOne(c, g, sub, ch) })
		g.all = g.next == 0
	case !g.shared:
		g.share(g.parts, int(c.max), min(int(s.conns.QueueShare()/responseShare), responseBytes))
		g.shared = true
	case g.marked < len(g.parts):
		for end := min(g.marked+taskSlice, len(g.parts)); g.marked < end; g.marked++ {
			s.takePart(c, g, &g.parts[g.marked])
		}
	default:
		unmoved := g.held == int(c.count) && c.poll != 0 && s.polls.At(c.poll).resume.IsTime()
		if unmoved {
			// No channel has begun yet, and the position is a time, which a cursor can't express.
			g.position, g.gaps = []byte(s.polls.At(c.poll).resume.Text), nil
		} else {
			g.position = g.cursor.AppendTo(nil)
		}
		return true
	}
	return false
}

// gatherOne collects one channel of a poll.
func (s *shard) gatherOne(c *client, g *gathering, sub index.Sub, ch index.Channel) {
	name := s.index.Name(ch)
	if s.index.Held(sub) {
		g.held++
		g.keep(name, s.srv.node, &s.polls.At(c.poll).resume, false)
		return
	}
	from := s.index.From(sub)
	r := s.srv.broker.Since(name, from)
	part := part{channel: name, messages: r.Messages, recent: r}
	var set *poll
	if c.poll != 0 {
		set = s.polls.At(c.poll)
	}
	m := set.missedOf(ch)
	gap := !r.Complete
	if m != nil && m.more {
		// History continues before these, for the next poll.
		gap, r.Messages, part.recent.Messages = false, nil, nil
		part.messages, part.more, part.end = nil, true, m.end
	}
	if gap && s.comeBack(c, g, ch, name, from, &r) {
		return
	}
	if m != nil {
		part.history, part.before, part.newest = len(m.messages), m.before, m.newest
		part.messages = append(m.messages[:len(m.messages):len(m.messages)], r.Messages...)
		gap = gap || m.gap
	}
	if gap {
		g.gap(name)
	}
	if len(part.messages) == 0 {
		s.takePart(c, g, &part)
		return
	}
	g.parts = append(g.parts, part)
}

// takePart adds a channel's share of messages to the response, and the client's new position to the
// cursor.
func (s *shard) takePart(c *client, g *gathering, part *part) {
	g.more = g.more || part.taken < len(part.messages) || part.more
	g.add(part.messages[:part.taken])
	switch {
	case part.taken == 0 && part.history > 0 && (part.newest || s.polls.At(c.poll).resume.IsTime()):
		part.markBefore(&g.cursor, part.channel, s.srv.node)
	case !part.mark(&g.cursor, part.channel):
		g.keep(part.channel, s.srv.node, &s.polls.At(c.poll).resume, part.recent.DurableOnly())
	}
}

// comeBack defers a channel whose ring no longer has all messages after from to the client's next
// poll, which reads them from the stream, if the client has a position for that.
func (s *shard) comeBack(c *client, g *gathering, ch index.Channel, channel string, from uint32, r *fanout.Recent) bool {
	b := &g.bundle
	if c.poll == 0 {
		p, ok := s.wakeups.position(channel, from)
		switch {
		case !ok && !g.now:
			b.early = true
		case !ok || p.durable == unknown:
			return false
		default:
			b.cursor.Set(channel, p.durable)
			if r.Lossy {
				b.cursor.Set(channel, message.Position{Node: s.srv.node, Seq: p.plain})
			}
			b.more = true
		}
		return true
	}
	set := s.polls.At(c.poll)
	old := &set.resume
	if m := set.missedOf(ch); m != nil && (m.newest || old.IsTime()) && !r.Lossy {
		b.cursor.Set(channel, m.before)
		b.more = true
		return true
	}
	if list, _ := old.Positions(channel, s.srv.node); len(list) == 0 {
		return false
	}
	b.keep(channel, s.srv.node, old, r.DurableOnly())
	b.more = true
	return true
}

// responseShare is the divisor of a shard's queueShare for one response: its client reads none of
// it before all of it is queued.
const responseShare = 4
