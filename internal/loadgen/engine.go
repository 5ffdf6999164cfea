package loadgen

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// clock is a run's: ns since the epoch that never jump.
type clock struct {
	base time.Time // with its monotonic reading
	wall int64     // base in ns since the epoch, corrected
}

// newClock returns a clock that is ahead of this host's.
func newClock(ahead time.Duration) clock {
	base := time.Now()
	return clock{base: base, wall: base.UnixNano() + int64(ahead)}
}

func (c clock) now() int64 { return c.wall + int64(time.Since(c.base)) }

// signals is how those who hold clients reach the run.
type signals struct {
	// wake says that the totals have changed; it is sent to without blocking and
	// never closed.
	wake chan struct{}
	// dead is closed by the first failure, after fault was set.
	dead  chan struct{}
	fault error
	once  sync.Once
}

func newSignals() *signals {
	return &signals{wake: make(chan struct{}, 1), dead: make(chan struct{})}
}

func (s *signals) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *signals) fail(err error) {
	s.once.Do(func() {
		s.fault = err
		close(s.dead)
	})
}

// engine holds clients on its loops. Its methods may be called from any
// goroutine, start and close from one.
type engine struct {
	// Immutable
	plan    *plan
	clock   clock
	signals *signals
	loops   []*loop

	// The ticker's goroutine is stopped by close of stop, done answers.
	stop, done chan struct{}
	// tickEvery is the ticker's period in ns.
	tickEvery atomic.Int64
}

const (
	tickFast = 2 * time.Millisecond // while a pace is to be kept
	tickSlow = 50 * time.Millisecond
)

// newEngine makes the loops; they run after start.
func newEngine(p *plan, c clock, s *signals) (*engine, error) {
	e := &engine{plan: p, clock: c, signals: s, stop: make(chan struct{}), done: make(chan struct{})}
	e.tickEvery.Store(int64(tickSlow))
	n := min(p.Loops, p.Connections)
	for i := range n {
		l, err := newLoop(e, i, n)
		if err != nil {
			e.closeLoops()
			return nil, fmt.Errorf("event loop: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// start runs the loops and the ticker's goroutine; close stops and awaits them.
func (e *engine) start() error {
	go e.ticks()
	for _, l := range e.loops {
		if err := l.reactor.Start(e.signals.fail); err != nil {
			e.close()
			return fmt.Errorf("event loop: %w", err)
		}
	}
	return nil
}

// cpus is how many CPUs the loops can use.
func (e *engine) cpus() int { return runtime.GOMAXPROCS(0) }

// close stops the loops and cuts what is still connected.
func (e *engine) close() {
	close(e.stop)
	<-e.done
	e.closeLoops()
}

func (e *engine) closeLoops() {
	for _, l := range e.loops {
		l.reactor.Close()
		l.closeAll()
	}
}

// ticks posts a tick to each loop in every period; one at a time, so that a
// loop that is behind doesn't collect them.
func (e *engine) ticks() {
	defer close(e.done)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
		}
		for _, l := range e.loops {
			if l.ticking.CompareAndSwap(false, true) {
				l.reactor.Post(l.tick)
			}
		}
		t.Reset(time.Duration(e.tickEvery.Load()))
	}
}

// totals sums up what the loops have shown last.
func (e *engine) totals() (t totals) {
	for _, l := range e.loops {
		l.showing.Lock()
		t.add(&l.shown)
		l.showing.Unlock()
	}
	return t
}

// each runs fn on every loop's goroutine, one loop after the other, and waits.
// It returns early when a loop has failed.
func (e *engine) each(fn func(l *loop)) error {
	// With room for one, a loop that answers too late is not held up.
	ran := make(chan struct{}, 1)
	for _, l := range e.loops {
		if !l.reactor.Post(func() { fn(l); ran <- struct{}{} }) {
			return errors.New("event loop is closed")
		}
		select {
		case <-ran:
		case <-e.signals.dead:
			return e.signals.fault
		}
	}
	return nil
}

// collect sums up the loops, with their latencies since the last time. With an
// error the sum is not whole.
func (e *engine) collect() (*snapshot, error) {
	s := newSnapshot()
	err := e.each(func(l *loop) {
		l.counters.Away = l.front.stranded(e.clock.now())
		l.show()
		s.Counters.add(&l.counters)
		s.Tallies.merge(&l.tallies)
		s.meet(l.front.name)
		s.Addresses = addAddresses(s.Addresses, l.addresses)
		s.Busy = append(s.Busy, time.Duration(l.busy))
		s.Exact = s.Exact && l.ledger.exact()
		s.Scratches += len(l.scratches) - len(l.freeScratches)
		l.recorder.drain(&s.fresh)
	})
	return s, err
}

// order gives an order to the loops.
func (e *engine) order(o order) (a answer, err error) {
	n := float64(len(e.loops))
	switch o.Do {
	case doRamp:
		k := 0
		err = e.each(func(l *loop) {
			inFlight := e.plan.InFlight / len(e.loops)
			if k < e.plan.InFlight%len(e.loops) {
				inFlight++
			}
			k++
			c := &l.counters
			a.Settled += c.settled() + l.ramp(o.Target, o.Rate/n, inFlight)
			l.show()
		})
	case doPace:
		every := tickSlow
		if o.On {
			every = tickFast
		}
		e.tickEvery.Store(int64(every))
	case doBegin:
		a.Listeners, a.Moved = make([]uint32, len(o.Sequence)), make([]uint32, len(o.Sequence))
		err = e.each(func(l *loop) { l.begin(o.Sequence, o.On, a.Listeners, a.Moved) })
	case doAudit:
		a.Audit = &audit{Exact: true}
		err = e.each(func(l *loop) { l.audit(o.Sequence, o.Lapses, a.Audit) })
	case doCollect:
		a.Snapshot, err = e.collect()
	case doRecover:
		err = e.each(func(l *loop) { l.recover(o.On) })
	case doCut:
		err = e.each(func(l *loop) {
			l.leaves = leaves{active: true, limit: uint32(len(l.clients)), cut: true}
			l.show()
		})
	case doChurn:
		err = e.each(func(l *loop) { l.churnAt(o.Rate, e.plan.cast.movers) })
	case doSlow:
		err = e.each(func(l *loop) {
			if o.On {
				l.slowDown(l.plan.SlowRead)
			} else {
				l.speedUp()
			}
		})
	case doLeave:
		err = e.each((*loop).leave)
	default:
		err = fmt.Errorf("order %q is not known: the processes of this run are of different versions", o.Do)
	}
	return a, err
}

// begin starts the account of a window on the loop's subscriptions.
func (l *loop) begin(sequence []uint32, movers bool, listeners, moved []uint32) {
	channels := &l.plan.channels
	per := channels.PerClient()
	for slot := range l.clients {
		c := &l.clients[slot]
		c.flags &^= counted
		if !c.up() || c.flags&slow != 0 || c.flags&moving != 0 && !movers {
			l.unhear(uint32(slot))
			continue
		}
		c.flags |= counted
		for k := range per {
			ch := channels.Of(l.number(uint32(slot)), k)
			l.ledger.begin(uint32(slot*per+k), sequence[ch])
			listeners[ch]++
			if c.flags&moving != 0 {
				moved[ch]++
			}
		}
	}
	l.show() // who is no longer heard of
}
