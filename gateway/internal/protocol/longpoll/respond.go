package longpoll

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
)

// responder makes the responses to polls, each from all of its channels.
type responder struct {
	polls *Polls
	parts []part // of the response being gathered
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

	responder *responder
}

// Work collects a slice of the channels.
func (g *gathering) Work(i uint32) (done bool) { return g.responder.gatherSome(i, g) }

// Done sends the response.
func (g *gathering) Done(i uint32) { g.responder.gathered(i, g) }

// gatherSome collects a slice of a poll's channels and reports whether the response is complete.
func (p *responder) gatherSome(i uint32, g *gathering) (done bool) {
	set := p.polls.setupOf(i)
	switch {
	case !g.all:
		if set != nil {
			set.sortMissed()
		}
		g.next = p.polls.Hub.Channels.EachSome(i, g.next, client.SliceChannels, func(sub index.Sub, ch index.Channel) { p.gatherOne(set, g, sub, ch) })
		g.all = g.next == 0
	case !g.shared:
		g.share(g.parts, int(p.polls.Hub.Own(i).Number), min(int(p.polls.Hub.Conns.Out.QueueShare()/responseShare), ResponseBytes))
		g.shared = true
	case g.marked < len(g.parts):
		for end := min(g.marked+client.SliceChannels, len(g.parts)); g.marked < end; g.marked++ {
			p.takePart(set, g, &g.parts[g.marked])
		}
	default:
		unmoved := g.held == p.polls.Hub.Channels.Count(i) && set != nil && set.resume.IsTime()
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
func (p *responder) gatherOne(set *setup, g *gathering, sub index.Sub, ch index.Channel) {
	name := p.polls.Hub.Channels.Index.Name(ch)
	if p.polls.Hub.Channels.Index.Held(sub) {
		g.held++
		g.keep(name, p.polls.Hub.Net.Node, &set.resume, false)
		return
	}
	from := p.polls.Hub.Channels.Index.From(sub)
	r := p.polls.Hub.Shared.Broker.Since(name, from)
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
func (p *responder) takePart(set *setup, g *gathering, part *part) {
	g.more = g.more || part.taken < len(part.messages) || part.more
	g.add(part.messages[:part.taken])
	switch {
	case part.taken == 0 && part.history > 0 && (part.newest || set.resume.IsTime()):
		part.markBefore(&g.cursor, part.channel, p.polls.Hub.Net.Node)
	case !part.mark(&g.cursor, part.channel):
		g.keep(part.channel, p.polls.Hub.Net.Node, &set.resume, part.recent.DurableOnly())
	}
}

// comeBack defers a channel whose ring no longer has all messages after from to the client's next
// poll, which reads them from the stream, if the client has a position for that.
func (p *responder) comeBack(set *setup, g *gathering, ch index.Channel, channel string, from uint32, r *fanout.Recent) bool {
	b := &g.bundle
	if set == nil {
		at, ok := p.polls.wakeups.position(channel, from)
		switch {
		case !ok && !g.now:
			b.early = true
		case !ok || at.durable == noStream:
			return false
		default:
			b.cursor.Set(channel, at.durable)
			if r.Lossy {
				b.cursor.Set(channel, message.Position{Node: p.polls.Hub.Net.Node, Seq: at.plain})
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
	if list, _ := old.Positions(channel, p.polls.Hub.Net.Node); len(list) == 0 {
		return false
	}
	b.keep(channel, p.polls.Hub.Net.Node, old, r.DurableOnly())
	b.more = true
	return true
}

// responseShare is the divisor of a loop's QueueShare for one response: its client reads none of
// it before all of it is queued.
const responseShare = 4

// respond responds to a poll, over the next turns if it has many channels. The response may be
// shared with other polls.
func (p *responder) respond(i uint32, now bool) {
	if !p.polls.Hub.IsOpen(i) {
		return
	}
	if p.polls.Hub.HTTP.IsDraining() {
		p.polls.Hub.HTTP.CloseAfter(i) // its next request would be refused here
	}
	key := p.responseKey(i)
	if last := &p.polls.wakeups.last; key != (responseKey{}) && key == last.key {
		p.sendResponse(i, last.pieces, last.n)
		return
	}
	g := &gathering{now: now, parts: p.parts[:0], responder: p}
	g.form = p.polls.Hub.FormOf(i)
	switch t := p.polls.Hub.Tasks.Of(i).(type) {
	case *gathering:
		t.now = t.now || now
		return
	case *client.Opening: // its channels took too long
		for _, name := range t.Channels {
			g.keep(name, p.polls.Hub.Net.Node, &t.Resume, false)
		}
		p.polls.Hub.Tasks.Drop(i)
	}
	if p.polls.Hub.Channels.Count(i) > client.SliceChannels {
		g.parts = nil // other polls use p.parts meanwhile
		p.polls.Hub.Tasks.Start(i, g, 0)
		return
	}
	for !p.gatherSome(i, g) {
	}
	clear(g.parts)
	p.parts = g.parts[:0]
	p.gathered(i, g)
}

// gathered sends a poll the gathered response.
func (p *responder) gathered(i uint32, g *gathering) {
	if g.early {
		if g.now {
			p.polls.RespondNow(i)
			return
		}
		if own := p.polls.Hub.Own(i); own.Flags&flagEarly == 0 {
			own.Flags |= flagEarly
			// Other deadlines, of its token or its age, wait for that.
			p.polls.Hub.Conns.Clock.Set(i, p.polls.Hub.Conns.Clock.Now()+EarlyPatience)
		}
		p.polls.wakeups.early = true
		p.polls.wakeups.queue(i, Coalesce)
		return
	}
	o := p.polls.Hub.HTTP.OptionsOf(i)
	var pieces [][]byte
	if g.count == 0 && len(g.gaps) == 0 && !g.more {
		o.Lines = append(append(append(o.Lines, "Poll-Cursor: "...), g.position...), "\r\n"...)
		pieces = [][]byte{http1.AppendResponse(nil, 204, nil, o)}
	} else {
		pieces = g.response(g.position, o)
	}
	p.polls.wakeups.last = response{p.responseKey(i), pieces, g.count}
	p.sendResponse(i, pieces, g.count)
}

// sendResponse sends a poll a response with n messages and makes its connection ready for the next
// request.
func (p *responder) sendResponse(i uint32, pieces [][]byte, n int) {
	p.polls.Hub.Stats.Deliveries += uint64(n)
	// The broker keeps its channels and their messages for a while: the client is about to return.
	p.polls.Hub.Ended(i)
	p.polls.Hub.HTTP.Respond(i, pieces...)
}

// responseKey returns the key of a poll's response, zero if it can't be shared.
func (p *responder) responseKey(i uint32) (k responseKey) {
	own := p.polls.Hub.Own(i)
	if p.polls.Hub.Channels.Count(i) != 1 || own.Flags&flagSetup != 0 {
		return responseKey{}
	}
	p.polls.Hub.Channels.Each(i, func(sub index.Sub, ch index.Channel) {
		if !p.polls.Hub.Channels.Index.Held(sub) {
			k = responseKey{ch, p.polls.Hub.Channels.Index.From(sub), own.Number, p.polls.Hub.IsRaw(i), own.Flags, p.polls.Hub.HTTP.VariantOf(i), p.polls.Hub.Channels.Releases}
		}
	})
	return k
}
