package loadgen

import "time"

// churnState is a loop's part of steady connects and disconnects: at each slot
// of the pace one ready client of the moving share is closed and opened again.
type churnState struct {
	active bool
	start  int64 // ns
	pace   Pacer
	done   uint64 // slots
	next   int    // in movers
}

// churnAt has the loop take its part, by its share of all movers, in cycles at
// a rate. Rate 0 lets what is under way come to its end. It runs on the loop's
// goroutine.
func (l *loop) churnAt(rate float64, movers int) {
	if rate == 0 {
		l.churn.pace = Pacer{}
		l.churn.done = 1<<64 - 1
		return
	}
	// The rate is for this process; its clients are one of agents parts.
	rate *= float64(len(l.movers)) * float64(l.plan.agents) / float64(max(movers, 1))
	l.churn = churnState{active: rate > 0, start: l.engine.clock.now(), pace: NewPacer(rate)}
}

// churnSlice closes the clients whose slots are due.
func (l *loop) churnSlice() (more bool) {
	c := &l.churn
	if !c.active || c.done == 1<<64-1 {
		return false
	}
	elapsed := timeSince(l.now, c.start)
	due := c.pace.Due(elapsed)
	for k := 0; c.done < due; k++ {
		if k == connectTurn {
			return true
		}
		at := c.pace.At(c.done)
		c.done++
		if elapsed-at > l.plan.MaxLate {
			l.counters.SkippedConnects++
			continue
		}
		slot, ok := l.nextMover()
		if !ok {
			l.counters.SkippedConnects++
			continue
		}
		l.late(elapsed - at)
		l.counters.Churned++
		l.borrow(slot).churned = c.start + int64(at)
		l.part(slot)
	}
	return false
}

// nextMover finds the next ready client of the moving share, in turn.
func (l *loop) nextMover() (slot uint32, ok bool) {
	c := &l.churn
	for range l.movers {
		slot = l.movers[c.next]
		if c.next++; c.next == len(l.movers) {
			c.next = 0
		}
		if l.clients[slot].state == ready {
			return slot, true
		}
	}
	return 0, false
}

// late counts a slot of connecting that was begun after its time.
func (l *loop) late(by time.Duration) {
	if by > lateAfter {
		l.counters.LateConnects++
	}
}
