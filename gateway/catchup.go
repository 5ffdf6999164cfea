package gateway

import (
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/reactor"
)

// catchUp replays the messages of a live channel that w missed, and holds its live messages back
// until then.
func (s *shard) catchUp(ch index.Channel, j *join, w *waiter) {
	j.catchup.add(w)
	s.index.Hold(w.sub, true)
	s.ask(ch, w)
}

// ask requests w's first page, or the next one. The first is requested at once, unless the client
// has too large a backlog: most clients miss less than a page. A poll response has at most one page
// of each channel.
func (s *shard) ask(ch index.Channel, w *waiter) {
	c := s.client(w.slot)
	if c.kind == kindPoll || w.page == nil && !s.crowded(w.slot) && s.paced(w.slot) {
		s.replay(ch, w)
		return
	}
	s.park(ch, w)
	s.goOn(w.slot)
}

// replay requests a page of w's missed messages from the broker.
func (s *shard) replay(ch index.Channel, w *waiter) {
	channel, broker := s.index.Name(ch), s.srv.broker
	done := func(r fanout.Replay) { s.post(func() { s.replayed(ch, w, &r) }) }
	switch {
	case w.page != nil:
		w.replay = broker.ReplayMore(channel, w.page, done)
	case len(w.since) == 0:
		w.replay = broker.ReplayNewest(channel, int(w.newest), done)
	case w.time:
		w.replay = broker.ReplayTime(channel, w.since[0].Time(), done)
	default:
		w.replay = broker.Replay(channel, w.since[0], done)
	}
}

// replayed receives a page of a client's missed messages, which go out before the live ones.
func (s *shard) replayed(ch index.Channel, w *waiter, r *fanout.Replay) {
	j := s.joins[ch]
	if j == nil || w.list != &j.catchup {
		r.Done()
		return // the client has left since
	}
	c, sub := s.waiting(w, ch)
	switch {
	case c == nil:
		r.Done()
		j.catchup.remove(w)
		s.settle(ch)
		return
	case s.encodeFirst(c, ch, w, r):
		return
	}
	if r.Gap != nil && len(w.since) > 1 {
		// A client already catching up was told of the earlier losses.
		w.lost = w.lost || !w.told && w.since[0].Seq < r.Followed
		w.since = w.since[1:]
		r.Done()
		s.replay(ch, w)
		return
	}
	if r.Gap == nil && w.missesPlain(r) {
		r.Gap = &fanout.Gap{Reason: fanout.GapHistory, Seq: r.Seq}
	}
	if c.kind == kindPoll {
		j.catchup.remove(w)
		s.index.SetFrom(sub, r.Seq)
		s.index.Hold(sub, false)
		j.busy++
		s.pollSubscribed(c, w, ch, r)
		r.Done()
		j.busy--
		s.settle(ch)
		return
	}
	w.missed, w.begun = r, false
	if len(r.Messages) > 0 || s.sendMissed(ch, w, true) {
		// Not at once: consecutive pages would delay the live messages behind them.
		s.behind = append(s.behind, behind{ch, w})
	}
}

// beginMissed starts sending a page to a client, unless its backlog is so large that the page has
// to be requested again later.
func (s *shard) beginMissed(c *client, ch index.Channel, w *waiter) bool {
	r := w.missed
	if len(r.Messages) > 0 && s.crowded(w.slot) {
		w.missed = nil
		r.Done()
		s.park(ch, w)
		return false
	}
	w.begun = true
	s.charge(w.slot, r.Messages)
	if !w.told {
		w.told = true
		id := w.asked
		if w.newest > 0 {
			id = s.beforeNewest(s.index.Name(ch), r)
		}
		s.confirm(c, w, ch, id)
	}
	return true
}

// missesPlain reports whether plain messages may be missing in a replay without a gap, because this
// node has not followed the channel all the time. Clients of durable channels, too, resume from a
// time or from the start of a stream.
func (w *waiter) missesPlain(r *fanout.Replay) bool {
	return w.lost && !(r.DurableOnly && (w.time || w.since[0].IsZero()))
}

// behind is a client that is being sent its missed messages of a channel.
type behind struct {
	channel index.Channel
	waiter  *waiter
}

// missedSlice is the number of bytes sent to a client before it's another's turn. A catch-up may be
// 1,000 messages of 64 KB, which take 185 ms to encode.
const missedSlice = 64 << 10

// sendBehind sends slices of missed messages to one client after the other, until a slice of the
// loop's time is over.
func (s *shard) sendBehind() (more bool) {
	for start := time.Now(); len(s.behind) > 0; {
		b := s.behind[0]
		s.behind[0] = behind{}
		s.behind = s.behind[1:]
		if s.sendMissed(b.channel, b.waiter, false) {
			s.behind = append(s.behind, b)
		}
		if time.Since(start) > reactor.Slice {
			break
		}
	}
	return len(s.behind) > 0
}

// sendMissed sends a client a slice of its missed messages of a channel. When all of those, and all
// published meanwhile, are sent, the live messages follow. fresh says that nothing can have been
// published meanwhile. It returns true if the client needs another slice.
func (s *shard) sendMissed(ch index.Channel, w *waiter, fresh bool) (more bool) {
	j := s.joins[ch]
	r := w.missed
	waits := func() bool {
		if j != nil && j == s.joins[ch] && w.list == &j.catchup {
			return true
		}
		r.Messages = nil
		r.Done() // the client has left, or the channel
		return false
	}
	if !waits() {
		return false
	}
	c := s.client(w.slot)
	if !w.begun && (!s.beginMissed(c, ch, w) || !waits()) {
		return false
	}
	for left := missedSlice; ; fresh = true {
		left = s.sendSome(c, w, ch, left)
		if !waits() {
			return false
		}
		if len(r.Messages) > 0 {
			return true
		}
		r.Messages = nil
		r.Done()
		if r.More {
			w.page, w.missed, w.asked = r, nil, r.Position.String()
			w.since, w.newest, w.time, w.lost = append(w.since[:0], r.Position), 0, false, false
			s.ask(ch, w)
			return false
		}
		if fresh {
			break
		}
		name := s.index.Name(ch)
		now := s.srv.broker.Since(name, r.Seq)
		if !now.Complete {
			// More was published than this node keeps: replay from the client's current position.
			w.since, w.newest, w.time, w.lost = w.since[:0], 0, false, false
			for _, p := range [...]message.Position{r.Plain, r.Position} {
				if len(w.since) == 0 || p.Durable() {
					w.since = append(w.since, p)
				}
			}
			w.asked, w.missed, w.page = r.Position.String(), nil, nil
			s.ask(ch, w)
			return false
		}
		r.Messages, r.Seq = now.Messages, r.Seq+uint32(len(now.Messages))
		r.Plain, r.Position = now.Plain, now.Plain
		if !now.Durable.IsZero() {
			r.Position = now.Durable
		}
	}
	j.catchup.remove(w)
	s.index.SetFrom(w.sub, r.Seq)
	s.index.Hold(w.sub, false)
	j.busy++
	s.follows(c, w, ch, r.Position)
	j.busy--
	s.settle(ch)
	s.goOn(w.slot)
	return false
}

// sendSome sends a client up to left bytes of its missed messages of a channel, but at least one
// message, and returns the rest of the allowance.
func (s *shard) sendSome(c *client, w *waiter, ch index.Channel, left int) int {
	form := c.form()
	r := w.missed
	bufs := s.missed[:0]
	if r.Gap != nil {
		bufs = append(bufs, gapNoticeSince(s.index.Name(ch), w.asked, *r.Gap).Encoded(form))
		r.Gap = nil
	}
	n := 0
	for ; n < len(r.Messages) && left > 0; n++ {
		b := r.Messages[n].Encoded(form)
		if left -= len(b); c.kind == kindEvents && c.poll != 0 {
			b = withoutID(b)
		}
		bufs = append(bufs, b)
	}
	r.Messages = r.Messages[n:]
	s.stats.deliveries += uint64(n)
	if len(bufs) > 0 {
		s.conns.SendHistory(w.slot, bufs)
	}
	clear(bufs)
	s.missed = bufs[:0]
	return left
}

// beforeNewest returns the text of the position before the newest messages of a channel, for a
// client that is cut off before it gets them: the durable position alone where that is sufficient.
func (s *shard) beforeNewest(channel string, r *fanout.Replay) string {
	before, plain := r.Before, r.Position
	switch {
	case len(r.Messages) == 0:
		if r.Position.Durable() {
			return r.Position.String()
		}
	case r.DurableOnly:
		return before.String()
	default:
		plain = message.Position{Node: s.srv.node}
		if at := r.Messages[0].Arrived; at > 0 {
			plain.Seq = at - 1
		}
	}
	c := message.NewCursor(channel, before, plain)
	return c.String()
}
