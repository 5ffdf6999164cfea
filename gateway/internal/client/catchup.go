package client

import (
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// catchUps are the clients that are sent the messages they missed, before the live ones.
type catchUps struct {
	hub    *Hub
	behind []behind                     // being sent missed messages
	parked map[uint32][]behind          // by slot: requests waiting for their next page
	paces  slab.Sparse[limit.Allowance] // rates of clients
	missed [][]byte                     // buffers of missed messages being sent
}

// begin replays the messages of a live channel that w missed, and holds its live messages back until
// then.
func (u *catchUps) begin(ch index.Channel, j *join, w *Request) {
	j.catchup.add(w)
	u.hub.Channels.Index.Hold(w.sub, true)
	u.ask(ch, w)
}

// ask requests w's first page, or the next one. The first is requested at once, unless the client
// has too large a backlog: most clients miss less than a page. A poll response has at most one page
// of each channel.
func (u *catchUps) ask(ch index.Channel, w *Request) {
	if w.page == nil && (u.hub.protocolOf(w.Slot).Answers() || !u.crowded(w.Slot) && u.paced(w.Slot)) {
		u.replay(ch, w)
		return
	}
	u.park(ch, w)
	u.nextPage(w.Slot)
}

// replay requests a page of w's missed messages from the broker.
func (u *catchUps) replay(ch index.Channel, w *Request) {
	channel, broker := u.hub.Channels.Index.Name(ch), u.hub.Shared.Broker
	done := func(r fanout.Replay) { u.hub.Post(func() { u.replayed(ch, w, &r) }) }
	switch {
	case w.page != nil:
		w.replay = broker.ReplayMore(channel, w.page, done)
	case len(w.Since) == 0:
		w.replay = broker.ReplayNewest(channel, int(w.Newest), done)
	case w.Time:
		w.replay = broker.ReplayTime(channel, w.Since[0].Time(), done)
	default:
		w.replay = broker.Replay(channel, w.Since[0], done)
	}
}

// replayed receives a page of a client's missed messages, which go out before the live ones.
func (u *catchUps) replayed(ch index.Channel, w *Request, r *fanout.Replay) {
	j := u.hub.Channels.joins[ch]
	if j == nil || w.list != &j.catchup {
		r.Done()
		return // the client has left since
	}
	switch {
	case !u.hub.Channels.waits(w, ch):
		r.Done()
		j.catchup.remove(w)
		u.hub.Channels.settle(ch)
		return
	case u.encodeFirst(ch, w, r):
		return
	}
	if r.Gap != nil && len(w.Since) > 1 {
		// A client already catching up was told of the earlier losses.
		w.Lost = w.Lost || !w.told && w.Since[0].Seq < r.Followed
		w.Since = w.Since[1:]
		r.Done()
		u.replay(ch, w)
		return
	}
	if r.Gap == nil && w.missesPlain(r) {
		r.Gap = &fanout.Gap{Reason: fanout.GapHistory, Seq: r.Seq}
	}
	if p := u.hub.protocolOf(w.Slot); p.Answers() {
		j.catchup.remove(w)
		u.hub.Channels.start(w.sub, r.Seq)
		j.busy++
		p.Replayed(w, ch, r)
		r.Done()
		j.busy--
		u.hub.Channels.settle(ch)
		return
	}
	w.missed, w.begun = r, false
	if len(r.Messages) > 0 || u.sendMissed(ch, w, true) {
		// Not at once: consecutive pages would delay the live messages behind them.
		u.behind = append(u.behind, behind{ch, w})
	}
}

// beginMissed starts sending a page to a client, unless its backlog is so large that the page has
// to be requested again later.
func (u *catchUps) beginMissed(ch index.Channel, w *Request) bool {
	r := w.missed
	if len(r.Messages) > 0 && u.crowded(w.Slot) {
		w.missed = nil
		r.Done()
		u.park(ch, w)
		return false
	}
	w.begun = true
	u.charge(w.Slot, r.Messages)
	if !w.told {
		w.told = true
		id := w.Asked
		if w.Newest > 0 {
			id = u.beforeNewest(u.hub.Channels.Index.Name(ch), r)
		}
		u.hub.protocolOf(w.Slot).Confirm(w.Slot, u.hub.Channels.Index.Name(ch), id, w.Ref, w.First)
	}
	return true
}

// missesPlain reports whether plain messages may be missing in a replay without a gap, because this
// node has not followed the channel all the time. Clients of durable channels, too, resume from a
// time or from the start of a stream.
func (w *Request) missesPlain(r *fanout.Replay) bool {
	return w.Lost && !(r.DurableOnly && (w.Time || w.Since[0].IsZero()))
}

// behind is a client that is being sent its missed messages of a channel.
type behind struct {
	channel index.Channel
	waiter  *Request
}

// missedSlice is the number of bytes sent to a client before it's another's turn. A catch-up may be
// 1,000 messages of 64 KB, which take 185 ms to encode.
const missedSlice = 64 << 10

// send sends slices of missed messages to one client after the other, until a slice of the
// loop's time is over.
func (u *catchUps) send() (more bool) {
	for start := time.Now(); len(u.behind) > 0; {
		b := u.behind[0]
		u.behind[0] = behind{}
		u.behind = u.behind[1:]
		if u.sendMissed(b.channel, b.waiter, false) {
			u.behind = append(u.behind, b)
		}
		if time.Since(start) > conn.Slice {
			break
		}
	}
	return len(u.behind) > 0
}

// sendMissed sends a client a slice of its missed messages of a channel. When all of those, and all
// published meanwhile, are sent, the live messages follow. fresh says that nothing can have been
// published meanwhile. It returns true if the client needs another slice.
func (u *catchUps) sendMissed(ch index.Channel, w *Request, fresh bool) (more bool) {
	j := u.hub.Channels.joins[ch]
	r := w.missed
	waits := func() bool {
		if j != nil && j == u.hub.Channels.joins[ch] && w.list == &j.catchup {
			return true
		}
		r.Messages = nil
		r.Done() // the client has left, or the channel
		return false
	}
	if !waits() {
		return false
	}
	if !w.begun && (!u.beginMissed(ch, w) || !waits()) {
		return false
	}
	for left := missedSlice; ; fresh = true {
		left = u.sendSome(w, ch, left)
		if !waits() {
			return false
		}
		if len(r.Messages) > 0 {
			return true
		}
		r.Messages = nil
		r.Done()
		if r.More {
			w.page, w.missed, w.Asked = r, nil, r.Position.String()
			w.Since, w.Newest, w.Time, w.Lost = append(w.Since[:0], r.Position), 0, false, false
			u.ask(ch, w)
			return false
		}
		if fresh {
			break
		}
		name := u.hub.Channels.Index.Name(ch)
		now := u.hub.Shared.Broker.Since(name, r.Seq)
		if !now.Complete {
			// More was published than this node keeps: replay from the client's current position.
			w.Since, w.Newest, w.Time, w.Lost = w.Since[:0], 0, false, false
			for _, p := range [...]message.Position{r.Plain, r.Position} {
				if len(w.Since) == 0 || p.Durable() {
					w.Since = append(w.Since, p)
				}
			}
			w.Asked, w.missed, w.page = r.Position.String(), nil, nil
			u.ask(ch, w)
			return false
		}
		r.Messages, r.Seq = now.Messages, r.Seq+uint32(len(now.Messages))
		r.Plain, r.Position = now.Plain, now.Plain
		if !now.Durable.IsZero() {
			r.Position = now.Durable
		}
	}
	j.catchup.remove(w)
	u.hub.Channels.start(w.sub, r.Seq)
	j.busy++
	u.hub.Channels.follows(w, ch, r.Position)
	j.busy--
	u.hub.Channels.settle(ch)
	u.nextPage(w.Slot)
	return false
}

// sendSome sends a client up to left bytes of its missed messages of a channel, but at least one
// message, and returns the rest of the allowance.
func (u *catchUps) sendSome(w *Request, ch index.Channel, left int) int {
	p, form := u.hub.protocolOf(w.Slot), u.hub.FormOf(w.Slot)
	r := w.missed
	bufs := u.missed[:0]
	if r.Gap != nil {
		bufs = append(bufs, GapNoticeSince(u.hub.Channels.Index.Name(ch), w.Asked, *r.Gap).Encoded(form))
		r.Gap = nil
	}
	n := 0
	for ; n < len(r.Messages) && left > 0; n++ {
		b := p.Encoded(w.Slot, r.Messages[n])
		left -= len(b)
		bufs = append(bufs, b)
	}
	r.Messages = r.Messages[n:]
	u.hub.Stats.Deliveries += uint64(n)
	if len(bufs) > 0 {
		u.hub.Conns.Out.SendHistory(w.Slot, bufs)
	}
	clear(bufs)
	u.missed = bufs[:0]
	return left
}

// beforeNewest returns the text of the position before the newest messages of a channel, for a
// client that is cut off before it gets them: the durable position alone where that is sufficient.
func (u *catchUps) beforeNewest(channel string, r *fanout.Replay) string {
	before, plain := r.Before, r.Position
	switch {
	case len(r.Messages) == 0:
		if r.Position.Durable() {
			return r.Position.String()
		}
	case r.DurableOnly:
		return before.String()
	default:
		plain = message.Position{Node: u.hub.Net.Node}
		if at := r.Messages[0].Arrived; at > 0 {
			plain.Seq = at - 1
		}
	}
	c := message.NewCursor(channel, before, plain)
	return c.String()
}
