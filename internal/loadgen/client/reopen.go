package client

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// reopens is a loop's part of bringing clients back: clients lost or cut while recovering,
// closed by the churn, cut by a proxy or put off by the server, and polls that go on.
type reopens struct {
	l          *loop
	recovering bool
	backoff    time.Duration // longest wait before the first attempt, doubled with each failure
	most       time.Duration
	queue      reopenQueue
}

// reopen is an attempt to connect.
type reopen struct {
	at      int64 // ns
	due     int64 // when the pace or the churn wanted it, 0 without
	first   int64 // ns, of the first attempt of a client that was put off
	slot    uint32
	kind    reopenKind
	attempt uint8
	again   bool // not the client's first connection
	resume  bool // send the last position
}

// reopenKind is the reason for a reopen.
type reopenKind uint8

const (
	recovery reopenKind = iota // only as long as the run recovers
	cycle                      // of the churn
	proxyCut                   // a proxy may have cut it
	putOff                     // the server wanted it later
	renewal                    // a ready poll's next connection
)

func (r *reopens) reopenLater(x reopen) { heap.Push(&r.queue, x) }

// reopenQueue is a heap, the earliest first.
type reopenQueue []reopen

func (q reopenQueue) Len() int           { return len(q) }
func (q reopenQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q reopenQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *reopenQueue) Push(x any)        { *q = append(*q, x.(reopen)) }

func (q *reopenQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

// recover has the loop bring back every client that ends from now on, or stops
// that. It runs on the loop's goroutine.
func (r *reopens) recover(on bool) {
	if r.recovering = on; on {
		return
	}
	r.queue = slices.DeleteFunc(r.queue, func(x reopen) bool { return x.kind == recovery })
	heap.Init(&r.queue)
}

// openAgain plans the next connection of a client that ends.
func (r *reopens) openAgain(slot uint32) {
	c := &r.l.clients[slot]
	if r.l.ending {
		return
	}
	s := r.l.heldScratch(slot)
	switch {
	case r.l.churn.active && c.flags&moving != 0 && c.flags&leaving != 0 && s != nil && s.churned > 0:
		r.reopenLater(reopen{at: r.l.now, due: s.churned, slot: slot, kind: cycle, again: true})
	case r.recovering && c.flags&slow == 0, r.l.isAway(slot):
		x := reopen{slot: slot, again: true}
		if r.l.isAway(slot) {
			x.kind, x.resume = proxyCut, true
		}
		wait := r.backoff
		if s != nil && c.state < ready && s.again {
			x.attempt = min(s.attempt+1, 30)
			wait = min(r.backoff<<x.attempt, r.most)
			if wait <= 0 {
				wait = r.most
			}
		}
		// All of the wait at random: clients that were lost together must not reconnect
		// together.
		delay := time.Duration(rand.Int64N(int64(wait) + 1))
		if s != nil && s.after > 0 {
			delay = s.after // the server has spread them
		}
		x.at = r.l.engine.Clock.Now() + int64(delay)
		r.reopenLater(x)
	}
}

// reopenSlice starts the attempts that are due and fit.
func (r *reopens) reopenSlice() (more bool) {
	for k := 0; len(r.queue) > 0 && r.queue[0].at <= r.l.now && r.l.inFlight < r.l.connects.most; k++ {
		if k == connectTurn {
			return true
		}
		x := heap.Pop(&r.queue).(reopen)
		c := &r.l.clients[x.slot]
		switch {
		case x.kind == renewal:
			if c.state == renewing && c.fd < 0 {
				r.l.dial(x.slot)
			}
		case x.slot >= r.l.connects.next: // a ramp downwards has closed it for good
		case c.state == gone || c.state == closing:
			r.l.open(x)
		}
	}
	return false
}

// churn is a loop's part of steady connects and disconnects: at each slot
// of the pace one ready client of the moving share is closed and opened again.
type churn struct {
	l      *loop
	active bool  // cycles may be under way
	ending bool  // no further ones begin
	start  int64 // ns
	pace   account.Pacer
	done   uint64 // slots
	next   int    // in movers
}

// churnAt has the loop take its part, by its share of all movers, in cycles at a rate. Rate 0
// lets cycles under way finish. It runs on the loop's goroutine.
func (h *churn) churnAt(rate float64, movers int) {
	if rate == 0 {
		h.ending = true
		return
	}
	// The rate is for this process; its clients are one of members parts.
	rate *= float64(len(h.l.movers)) * float64(h.l.plan.Members) / float64(max(movers, 1))
	*h = churn{l: h.l, active: rate > 0, start: h.l.engine.Clock.Now(), pace: account.Pacer{Rate: rate}}
}

// churning reports whether cycles begin.
func (h *churn) churning() bool { return h.active && !h.ending }

// churnSlice closes the clients whose slots are due.
func (h *churn) churnSlice() (more bool) {
	if !h.churning() {
		return false
	}
	elapsed := account.Elapsed(h.l.now, h.start)
	due := h.pace.Due(elapsed)
	for k := 0; h.done < due; k++ {
		if k == connectTurn {
			return true
		}
		at := h.pace.At(h.done)
		h.done++
		slot, ok := uint32(0), false
		if elapsed-at <= h.l.plan.MaxLate {
			slot, ok = h.nextMover()
		}
		if !ok {
			h.l.counters.SkippedConnects++
			continue
		}
		h.l.late(elapsed - at)
		h.l.counters.Churned++
		h.l.scratch(slot).churned = h.start + int64(at)
		h.l.closeClient(slot)
	}
	return false
}

// nextMover finds the next ready client of the moving share, in turn.
func (h *churn) nextMover() (slot uint32, ok bool) {
	for range h.l.movers {
		slot = h.l.movers[h.next]
		if h.next++; h.next == len(h.l.movers) {
			h.next = 0
		}
		if h.l.clients[slot].state == ready {
			return slot, true
		}
	}
	return 0, false
}
