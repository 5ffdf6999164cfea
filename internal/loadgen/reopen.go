package loadgen

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// reopens is a loop's part of bringing clients back: those that were lost or
// cut while recovering, and those that the churn has closed.
type reopens struct {
	recovering bool
	backoff    time.Duration // longest wait before the first attempt, doubled with each failure
	most       time.Duration
	queue      reopenQueue
}

// reopen is an attempt to come.
type reopen struct {
	at      int64 // ns
	due     int64 // the slot of the churn, 0 without
	slot    uint32
	attempt uint8
}

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
	l.reopens.recovering = on
	l.reopens.backoff, l.reopens.most = l.plan.Backoff, max(l.plan.BackoffMost, l.plan.Backoff)
	if !on {
		l.reopens.queue = nil
	}
}

// openAgain plans the next connection of a client that ends.
func (l *loop) openAgain(slot uint32) {
	c, r := &l.clients[slot], &l.reopens
	if l.ending {
		return
	}
	s := l.held(slot)
	switch {
	case l.churn.active && c.flags&moving != 0 && c.flags&leaving != 0 && s != nil && s.churned > 0:
		heap.Push(&r.queue, reopen{at: l.now, due: s.churned, slot: slot})
	case r.recovering && c.flags&slow == 0:
		x := reopen{slot: slot}
		wait := r.backoff
		if s != nil && c.state < ready && s.again {
			x.attempt = min(s.attempt+1, 30)
			wait = min(r.backoff<<x.attempt, r.most)
			if wait <= 0 {
				wait = r.most
			}
		}
		// All of the wait at random: clients that were lost together must not
		// come back together.
		delay := time.Duration(rand.Int64N(int64(wait) + 1))
		if s != nil && s.after > 0 {
			delay = s.after // the server has spread them
		}
		x.at = l.engine.now() + int64(delay)
		heap.Push(&r.queue, x)
	}
}

// reopenSlice starts the attempts that are due and fit.
func (l *loop) reopenSlice() (more bool) {
	r := &l.reopens
	for k := 0; len(r.queue) > 0 && r.queue[0].at <= l.now && l.connects.inFlight < l.connects.most; k++ {
		if k == connectTurn {
			return true
		}
		x := heap.Pop(&r.queue).(reopen)
		if s := l.clients[x.slot].state; s != gone && s != closing {
			continue
		}
		l.open(x.slot, x.due)
		if s := l.held(x.slot); s != nil {
			s.again, s.attempt = true, x.attempt
		}
	}
	return false
}
