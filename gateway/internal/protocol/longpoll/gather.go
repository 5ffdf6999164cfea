package longpoll

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
)

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
	polls    *Polls
}

// Work collects a slice of the channels.
func (g *gathering) Work(i uint32) (done bool) { return g.polls.gatherSome(i, g) }

// Done sends the response.
func (g *gathering) Done(i uint32) { g.polls.gathered(i, g) }

// gatherSome collects a slice of a poll's channels and reports whether the response is complete.
func (p *Polls) gatherSome(i uint32, g *gathering) (done bool) {
	set := p.setupOf(i)
	switch {
	case !g.all:
		if set != nil {
			set.sortMissed()
		}
		g.next = p.channels.EachSome(i, g.next, client.SliceChannels, func(sub index.Sub, ch index.Channel) { p.gatherOne(set, g, sub, ch) })
		g.all = g.next == 0
	case !g.shared:
		g.share(g.parts, int(p.hub.Own(i).Number), min(int(p.hub.Conns.Out.QueueShare()/responseShare), ResponseBytes))
		g.shared = true
	case g.marked < len(g.parts):
		for end := min(g.marked+client.SliceChannels, len(g.parts)); g.marked < end; g.marked++ {
			p.takePart(set, g, &g.parts[g.marked])
		}
	default:
		unmoved := g.held == p.channels.Count(i) && set != nil && set.resume.IsTime()
		if unmoved {
			// No channel has begun yet, and the position is a time, which a cursor can't express.
			g.position, g.gaps = []byte(set.resume.Text), nil
		} else {
			g.position = g.cursor.AppendTo(nil)
		}
		return true
	}
	return false
}

// gatherOne collects one channel of a poll.
func (p *Polls) gatherOne(set *setup, g *gathering, sub index.Sub, ch index.Channel) {
	name := p.channels.Index.Name(ch)
	if p.channels.Index.Held(sub) {
		g.held++
		g.keep(name, p.hub.Net.Node, &set.resume, false)
		return
	}
	from := p.channels.Index.From(sub)
	r := p.hub.Shared.Broker.Since(name, from)
	part := part{channel: name, messages: r.Messages, recent: r}
	m := set.missedOf(ch)
	gap := !r.Complete
	if m != nil && m.more {
		// History continues before these, for the next poll.
		gap, r.Messages, part.recent.Messages = false, nil, nil
		part.messages, part.more, part.end = nil, true, m.end
	}
	if gap && p.comeBack(set, g, ch, name, from, &r) {
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
		p.takePart(set, g, &part)
		return
	}
	g.parts = append(g.parts, part)
}

// takePart adds a channel's share of messages to the response, and the client's new position to the
// cursor.
func (p *Polls) takePart(set *setup, g *gathering, part *part) {
	g.more = g.more || part.taken < len(part.messages) || part.more
	g.add(part.messages[:part.taken])
	switch {
	case part.taken == 0 && part.history > 0 && (part.newest || set.resume.IsTime()):
		part.markBefore(&g.cursor, part.channel, p.hub.Net.Node)
	case !part.mark(&g.cursor, part.channel):
		g.keep(part.channel, p.hub.Net.Node, &set.resume, part.recent.DurableOnly())
	}
}

// comeBack defers a channel whose ring no longer has all messages after from to the client's next
// poll, which reads them from the stream, if the client has a position for that.
func (p *Polls) comeBack(set *setup, g *gathering, ch index.Channel, channel string, from uint32, r *fanout.Recent) bool {
	b := &g.bundle
	if set == nil {
		at, ok := p.wakeups.position(channel, from)
		switch {
		case !ok && !g.now:
			b.early = true
		case !ok || at.durable == unknown:
			return false
		default:
			b.cursor.Set(channel, at.durable)
			if r.Lossy {
				b.cursor.Set(channel, message.Position{Node: p.hub.Net.Node, Seq: at.plain})
			}
			b.more = true
		}
		return true
	}
	old := &set.resume
	if m := set.missedOf(ch); m != nil && (m.newest || old.IsTime()) && !r.Lossy {
		b.cursor.Set(channel, m.before)
		b.more = true
		return true
	}
	if list, _ := old.Positions(channel, p.hub.Net.Node); len(list) == 0 {
		return false
	}
	b.keep(channel, p.hub.Net.Node, old, r.DurableOnly())
	b.more = true
	return true
}

// responseShare is the divisor of a shard's queueShare for one response: its client reads none of
// it before all of it is queued.
const responseShare = 4
