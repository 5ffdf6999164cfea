// Package client is the clients of the benchmarks: connections to one server on
// one event loop, which count the messages that come and check their order.
package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsclient"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// Patience is how long the clients may take for any one thing.
const Patience = 2 * time.Minute

// ErrLate is the cause of a wait that took too long.
var ErrLate = errors.New("too slow")

// Clients are connections to one server. Apart from Do, Wait, Connect and Close,
// everything here is called and read on their loop.
type Clients struct {
	// Immutable
	loop  *reactor.Loop
	o     Options
	fresh wsframe.Reader

	// Owned by the loop, for callers
	Settled  int        // clients that are connected and subscribed
	Joined   Progress   // of those that were last told to connect
	Gone     Progress   // clients that were sent away in order, once Leaving is set
	Leaving  bool       // the server is being shut down
	Messages []Progress // by number: clients that have the message
	Received int        // messages, by all clients
	Pings    int        // received and answered, and an event stream's comments
	Counts   Counts
	Heard    time.Time // when something was last read
	Err      error     // why the run is worth nothing

	// Owned by the loop
	conns   []conn
	partial map[uint32]*partial // of the few in the middle of a response or a message
	tls     *tlsclient.Conns    // nil: plain
	sealed  map[uint32][]byte   // the start of a TLS record, of the few in the middle of one
	spare   *partial            // for the next one that is
	queue   []uint32            // slots to connect, first to last
	dialed  int                 // clients that have been told to connect
	pending int                 // clients under way
	waiting *condition
	in      [64 << 10]byte
	out     []byte
}

// condition is awaited by the measuring goroutine.
type condition struct {
	holds func() bool  // called on the loop
	done  chan outcome // buffered; sent to once by the loop
}

// outcome says when a condition held, or why it never will.
type outcome struct {
	at  time.Time
	err error
}

// tell ends the wait.
func (w *condition) tell(err error) { w.done <- outcome{at: time.Now(), err: err} }

// New starts the loop, which Close ends; nobody is connected yet.
func New(o Options) (*Clients, error) {
	c := &Clients{
		o: o, fresh: wsframe.NewReader(wsframe.Client, 1<<20),
		conns: make([]conn, o.Clients), partial: map[uint32]*partial{}, spare: new(partial), Messages: make([]Progress, o.Messages),
	}
	for i := range c.conns {
		c.conns[i].next = int32(o.First)
	}
	if o.TLS != nil {
		c.tls, c.sealed = tlsclient.New(o.TLS, o.Clients), map[uint32][]byte{}
	}
	loop, err := reactor.New(c)
	if err != nil {
		return nil, err
	}
	c.loop = loop
	if err := loop.Start(c.Fail); err != nil {
		loop.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the loop and resets all connections, so that none of them is left
// in TIME_WAIT.
func (c *Clients) Close() {
	c.loop.Close()
	for i := range c.conns {
		if c.conns[i].phase != phaseNone {
			c.forget(uint32(i))
			reactor.SetLinger0(int(c.conns[i].fd))
			reactor.CloseFD(int(c.conns[i].fd))
		}
	}
}

// Do runs fn on the loop and waits for it. A loop that is stuck is a fault of
// this program.
func (c *Clients) Do(fn func()) {
	done := make(chan struct{}) // closed by the loop
	c.loop.Post(func() {
		fn()
		close(done)
	})
	select {
	case <-done:
	case <-time.After(Patience):
		panic("the clients' loop is stuck")
	}
}

// Wait returns once holds, which is called on the loop, does, with the time at
// which it first did; or when the run has failed.
func (c *Clients) Wait(ctx context.Context, what string, holds func() bool) (time.Time, error) {
	w := &condition{holds: holds, done: make(chan outcome, 1)}
	c.loop.Post(func() { c.waiting = w })
	ctx, cancel := context.WithTimeoutCause(ctx, Patience, ErrLate)
	defer cancel()
	select {
	case o := <-w.done:
		return o.at, o.err
	case <-ctx.Done():
		var state string
		c.Do(func() { state = fmt.Sprintf("%d settled, %d under way, %d pings", c.Settled, c.pending, c.Pings) })
		return time.Time{}, fmt.Errorf("wait for %s: %w, with %s", what, context.Cause(ctx), state)
	}
}

// DialUpTo has clients connect until there are n.
func (c *Clients) DialUpTo(n int) {
	c.Joined.Begin(n - c.dialed)
	for ; c.dialed < n; c.dialed++ {
		c.queue = append(c.queue, uint32(c.dialed))
	}
}

// ComeBack has n clients, evenly spread over all, hang up and connect again.
func (c *Clients) ComeBack(n int) {
	c.Joined.Begin(n)
	for i := range n {
		slot := uint32(i * (len(c.conns) / n))
		c.hangUp(slot)
		c.queue = append(c.queue, slot)
	}
}

// Connect returns once n clients are settled. It is called by the measuring
// goroutine.
func (c *Clients) Connect(ctx context.Context, n int) error {
	c.Do(func() { c.DialUpTo(n) })
	var broken error
	_, err := c.Wait(ctx, fmt.Sprintf("%d handshakes", n), func() bool {
		if c.Counts.Broken > 0 {
			broken = errors.New(c.Counts.Why)
		}
		return c.Settled+c.Counts.Broken >= n
	})
	return errors.Join(err, broken)
}

// Turn starts the connects that are due and tells the one who waits.
func (c *Clients) Turn() (more bool) {
	const slice = 64 // connects between two looks at the events
	for range slice {
		if !c.due() {
			break
		}
		c.dial(c.queue[0])
		c.queue = c.queue[1:]
	}
	if w := c.waiting; w != nil && (c.Err != nil || w.holds()) {
		w.tell(c.Err)
		c.waiting = nil
	}
	if c.o.Lag > 0 && c.Settled > 0 && c.Settled == c.dialed-c.Counts.Broken {
		time.Sleep(c.o.Lag)
	}
	return c.due()
}

func (c *Clients) due() bool { return len(c.queue) > 0 && c.pending < c.o.InFlight && c.Err == nil }

// Fail ends the run.
func (c *Clients) Fail(err error) {
	if c.Err != nil {
		return
	}
	c.Err = err
	if c.waiting != nil {
		c.waiting.tell(err)
		c.waiting = nil
	}
}
