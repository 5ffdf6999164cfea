// Package client holds the clients of a run: an Engine with a few event loops,
// each with a slab of sockets that speak one of three transports.
package client

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// Clock is the clock of a run: ns since the epoch that never jump.
type Clock struct {
	base time.Time // with its monotonic reading
	wall int64     // base in ns since the epoch, corrected
}

// NewClock returns a clock that is ahead of this host's.
func NewClock(ahead time.Duration) Clock {
	base := time.Now()
	return Clock{base: base, wall: base.UnixNano() + int64(ahead)}
}

// Now reads the clock.
func (c Clock) Now() int64 { return c.wall + int64(time.Since(c.base)) }

// Signals tell the run of its clients, in this process or in others.
type Signals struct {
	// Wake says that the totals have changed; it is sent to without blocking and
	// never closed.
	Wake chan struct{}
	// Dead is closed by the first failure, after Fault was set.
	Dead  chan struct{}
	Fault error
	once  sync.Once
}

// NewSignals returns signals that have not been given.
func NewSignals() *Signals {
	return &Signals{Wake: make(chan struct{}, 1), Dead: make(chan struct{})}
}

// Notify says that the totals have changed.
func (s *Signals) Notify() {
	select {
	case s.Wake <- struct{}{}:
	default:
	}
}

// Fail ends the run with its first failure.
func (s *Signals) Fail(err error) {
	s.once.Do(func() {
		s.Fault = err
		close(s.Dead)
	})
}

// Engine holds clients on its loops. Its methods may be called from any
// goroutine, Start and Close from one.
type Engine struct {
	// Immutable
	plan    *plan.Plan
	Clock   Clock
	Signals *Signals
	loops   []*loop

	// The ticker's goroutine is stopped by close of stop, done answers.
	stop, done chan struct{}
}

const (
	tickFast = 2 * time.Millisecond // while a pace is to be kept
	tickSlow = 50 * time.Millisecond
)

// New makes the loops; they run after Start.
func New(p *plan.Plan, c Clock, s *Signals) (*Engine, error) {
	e := &Engine{plan: p, Clock: c, Signals: s, stop: make(chan struct{}), done: make(chan struct{})}
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

// Start runs the loops and the ticker's goroutine; Close stops and awaits them.
func (e *Engine) Start() error {
	go e.ticks()
	for _, l := range e.loops {
		if err := l.reactor.Start(e.Signals.Fail); err != nil {
			e.Close()
			return fmt.Errorf("event loop: %w", err)
		}
	}
	return nil
}

// CPUs is how many CPUs the loops can use.
func (e *Engine) CPUs() int { return runtime.GOMAXPROCS(0) }

// Close stops the loops and cuts the remaining connections.
func (e *Engine) Close() {
	close(e.stop)
	<-e.done
	e.closeLoops()
}

func (e *Engine) closeLoops() {
	for _, l := range e.loops {
		l.reactor.Close()
		l.closeAll()
	}
}

// ticks posts a tick to each loop in every period; one at a time, so that a
// loop that is behind doesn't collect them.
func (e *Engine) ticks() {
	defer close(e.done)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-t.C:
		}
		every := tickSlow
		for _, l := range e.loops {
			if l.ticking.CompareAndSwap(false, true) {
				l.reactor.Post(l.tick)
			}
			if l.paced.Load() {
				every = tickFast
			}
		}
		t.Reset(every)
	}
}

// Totals sums up the loops' last totals.
func (e *Engine) Totals() (t account.Totals) {
	for _, l := range e.loops {
		l.showing.Lock()
		t.Add(&l.shown)
		l.showing.Unlock()
	}
	return t
}

// each runs fn on every loop's goroutine, one loop after the other, and waits.
// It returns early when a loop has failed.
func (e *Engine) each(fn func(l *loop)) error {
	// With room for one, a loop that answers too late is not held up.
	ran := make(chan struct{}, 1)
	for _, l := range e.loops {
		if !l.reactor.Post(func() { fn(l); ran <- struct{}{} }) {
			return errors.New("event loop is closed")
		}
		select {
		case <-ran:
		case <-e.Signals.Dead:
			return e.Signals.Fault
		}
	}
	return nil
}

// Collect sums up the loops, with their latencies since the last time. With an
// error the sum is not whole.
func (e *Engine) Collect() (*Snapshot, error) {
	s := NewSnapshot()
	err := e.each(func(l *loop) {
		l.counters.Away = l.stranded(e.Clock.Now())
		l.show()
		s.Counters.Add(&l.counters)
		s.Tallies.Merge(&l.tallies)
		s.Proxy = cmp.Or(s.Proxy, l.proxy.name)
		s.Addresses = account.AddAddresses(s.Addresses, l.addresses)
		s.Busy = append(s.Busy, time.Duration(l.busy))
		s.Scratches += len(l.scratches) - len(l.freeScratches)
		l.recorder.Drain(&s.Fresh)
	})
	return s, err
}

// Execute gives a command to the loops.
func (e *Engine) Execute(o Command) (a Answer, err error) {
	n := float64(len(e.loops))
	switch o.Do {
	case DoRamp:
		k := 0
		err = e.each(func(l *loop) {
			inFlight := e.plan.InFlight / len(e.loops)
			if k < e.plan.InFlight%len(e.loops) {
				inFlight++
			}
			k++
			c := &l.counters
			a.Settled += c.Settled() + l.ramp(o.Target, o.Rate/n, inFlight)
			l.show()
		})
	case DoBegin:
		a.Listeners, a.Moved = make([]uint32, len(o.Sequence)), make([]uint32, len(o.Sequence))
		err = e.each(func(l *loop) { l.begin(o.Sequence, o.On, a.Listeners, a.Moved) })
	case DoAudit:
		a.Audit = &account.Audit{Exact: true}
		err = e.each(func(l *loop) { l.audit(o.Sequence, o.Lapses, a.Audit) })
	case DoCollect:
		a.Snapshot, err = e.Collect()
	case DoRecover:
		err = e.each(func(l *loop) { l.recover(o.On) })
	case DoCut:
		err = e.each(func(l *loop) {
			l.leaveAll(true)
			l.show()
		})
	case DoChurn:
		err = e.each(func(l *loop) { l.churnAt(o.Rate, e.plan.Roles.Movers) })
	case DoSlow:
		err = e.each(func(l *loop) {
			if o.On {
				l.slowDown(l.plan.SlowRead)
			} else {
				l.speedUp()
			}
		})
	case DoLeave:
		err = e.each((*loop).leave)
	default:
		err = fmt.Errorf("command %q is not known: the processes of this run are of different versions", o.Do)
	}
	return a, err
}
