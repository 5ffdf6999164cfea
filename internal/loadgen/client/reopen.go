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

func (l *loop) reopenLater(x reopen) { heap.Push(&l.queue, x) }

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
func (l *loop) recover(on bool) {
	if l.recovering = on; on {
		return
	}
	l.queue = slices.DeleteFunc(l.queue, func(x reopen) bool { return x.kind == recovery })
	heap.Init(&l.queue)
}

// openAgain plans the next connection of a client that ends.
func (l *loop) openAgain(slot uint32) {
	c := &l.clients[slot]
	if l.ending {
		return
	}
	s := l.heldScratch(slot)
	switch {
	case l.churn.active && c.flags&moving != 0 && c.flags&leaving != 0 && s != nil && s.churned > 0:
		l.reopenLater(reopen{at: l.now, due: s.churned, slot: slot, kind: cycle, again: true})
	case l.recovering && c.flags&slow == 0, l.isAway(slot):
		x := reopen{slot: slot, again: true}
		if l.isAway(slot) {
			x.kind, x.resume = proxyCut, true
		}
		wait := l.backoff
		if s != nil && c.state < ready && s.again {
			x.attempt = min(s.attempt+1, 30)
			wait = min(l.backoff<<x.attempt, l.reopens.most)
			if wait <= 0 {
				wait = l.reopens.most
			}
		}
		// All of the wait at random: clients that were lost together must not reconnect
		// together.
		delay := time.Duration(rand.Int64N(int64(wait) + 1))
		if s != nil && s.after > 0 {
			delay = s.after // the server has spread them
		}
		x.at = l.engine.Clock.Now() + int64(delay)
		l.reopenLater(x)
	}
}

// reopenSlice starts the attempts that are due and fit.
func (l *loop) reopenSlice() (more bool) {
	for k := 0; len(l.queue) > 0 && l.queue[0].at <= l.now && l.inFlight < l.connects.most; k++ {
		if k == connectTurn {
			return true
		}
		x := heap.Pop(&l.queue).(reopen)
		c := &l.clients[x.slot]
		switch {
		case x.kind == renewal:
			if c.state == renewing && c.fd < 0 {
				l.dial(x.slot)
			}
		case x.slot >= l.connects.next: // a ramp downwards has closed it for good
		case c.state == gone || c.state == closing:
			l.open(x)
		}
	}
	return false
}

// churn is a loop's part of steady connects and disconnects: at each slot
// of the pace one ready client of the moving share is closed and opened again.
type churn struct {
	active bool  // cycles may be under way
	ending bool  // no further ones begin
	start  int64 // ns
	pace   account.Pacer
	done   uint64 // slots
	next   int    // in movers
}

// churnAt has the loop take its part, by its share of all movers, in cycles at a rate. Rate 0
// lets cycles under way finish. It runs on the loop's goroutine.
func (l *loop) churnAt(rate float64, movers int) {
	if rate == 0 {
		l.churn.ending = true
		return
	}
	// The rate is for this process; its clients are one of members parts.
	rate *= float64(len(l.movers)) * float64(l.plan.Members) / float64(max(movers, 1))
	l.churn = churn{active: rate > 0, start: l.engine.Clock.Now(), pace: account.Pacer{Rate: rate}}
}

// churning reports whether cycles begin.
func (l *loop) churning() bool { return l.churn.active && !l.churn.ending }

// churnSlice closes the clients whose slots are due.
func (l *loop) churnSlice() (more bool) {
	if !l.churning() {
		return false
	}
	elapsed := account.Elapsed(l.now, l.churn.start)
	due := l.churn.pace.Due(elapsed)
	for k := 0; l.churn.done < due; k++ {
		if k == connectTurn {
			return true
		}
		at := l.churn.pace.At(l.churn.done)
		l.churn.done++
		slot, ok := uint32(0), false
		if elapsed-at <= l.plan.MaxLate {
			slot, ok = l.nextMover()
		}
		if !ok {
			l.counters.SkippedConnects++
			continue
		}
		l.late(elapsed - at)
		l.counters.Churned++
		l.scratch(slot).churned = l.churn.start + int64(at)
		l.closeClient(slot)
	}
	return false
}

// nextMover finds the next ready client of the moving share, in turn.
func (l *loop) nextMover() (slot uint32, ok bool) {
	for range l.movers {
		slot = l.movers[l.churn.next]
		if l.churn.next++; l.churn.next == len(l.movers) {
			l.churn.next = 0
		}
		if l.clients[slot].state == ready {
			return slot, true
		}
	}
	return 0, false
}

// late counts a slot of connecting that was begun after its time.
func (l *loop) late(by time.Duration) {
	if by > account.LateAfter {
		l.counters.LateConnects++
	}
}
