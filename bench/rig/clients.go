// Package rig is what the benchmarks have in common: the programs that they
// start, with their CPU clocks and memory, and an event loop of clients.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// patience is how long the clients may take for any one thing.
const patience = 2 * time.Minute

// clientsPerSource leaves the kernel several free ports to choose from: with
// most of an address's ports taken each connect has to search for one.
const clientsPerSource = 10_000

// Sources is the number of addresses that n clients connect from.
func Sources(n int) int { return n/clientsPerSource + 2 }

// source returns the address that client i connects from.
func source(i, sources int) netip.Addr {
	i %= sources
	return netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)})
}

// Owner says what the clients are for. It is called on their loop and must not
// block.
type Owner interface {
	// Opened tells that a client's handshake has been answered. The client
	// counts as under way until the owner calls Settle.
	Opened(slot uint32)
	// Text takes a whole message or the data of an event, which are valid until
	// it returns. An error ends the connection.
	Text(slot uint32, text []byte) error
	// Ended tells why a connection is about to be closed: *Closed where the
	// server sent a close frame.
	Ended(slot uint32, err error)
	// Turn is called after each batch of events.
	Turn()
}

// Options say where the clients go.
type Options struct {
	Remote   netip.AddrPort
	Clients  int                      // slots 0 to Clients-1
	InFlight int                      // handshakes under way at a time
	Request  func(slot uint32) []byte // opens the connection; called on the loop
	// AtOnce sends the request without waiting for an event: over loopback the
	// connection is mostly made by the time that connect returns. It saves the
	// client a turn, and a server finds the request when it accepts.
	AtOnce bool
	// Events: the server answers with an event stream, not with a WebSocket.
	Events bool
}

// Request returns a request for a WebSocket.
func Request(path string, remote netip.AddrPort) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, remote)
}

// RequestEvents returns a request for an event stream.
func RequestEvents(path string, remote netip.AddrPort) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", path, remote)
}

// Clients are connections to one server, on one event loop. What an owner
// knows of a client it keeps itself, by the client's slot.
type Clients struct {
	// Immutable
	loop  *reactor.Loop
	owner Owner
	o     Options
	fresh wsframe.Reader

	// Owned by the loop's goroutine
	Settled int       // clients that are connected and have been settled
	Pings   int       // received and answered, and an event stream's comments
	Heard   time.Time // when something was last read
	Err     error     // why the run is worth nothing
	conns   []conn
	partial map[uint32]*partial // those in the middle of an answer or a message
	queue   []uint32            // slots to connect, first to last
	pending int                 // clients under way
	waiting *condition
	in      [64 << 10]byte
	out     []byte
}

// condition is what the measuring goroutine waits for.
type condition struct {
	holds func() bool  // called on the loop
	done  chan outcome // buffered; sent to once by the loop
}

// outcome says when a condition held, or why it never will.
type outcome struct {
	at  time.Time
	err error
}

// NewClients starts the loop, which Close ends; nobody is connected yet.
func NewClients(o Options, owner Owner) (*Clients, error) {
	c := &Clients{
		owner: owner, o: o, fresh: wsframe.NewReader(wsframe.Client, 1<<20),
		conns: make([]conn, o.Clients), partial: map[uint32]*partial{},
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
			reactor.SetLinger0(int(c.conns[i].fd))
			reactor.CloseFD(int(c.conns[i].fd))
		}
	}
}

// Post has fn run on the loop.
func (c *Clients) Post(fn func()) { c.loop.Post(fn) }

// Do runs fn on the loop and waits for it.
func (c *Clients) Do(fn func()) error {
	done := make(chan struct{}) // closed by the loop
	c.loop.Post(func() {
		fn()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-time.After(patience):
		return errors.New("the clients' loop does not answer")
	}
}

// Wait returns when holds does, which is asked on the loop, and the time at
// which it first did; or when the run has failed.
func (c *Clients) Wait(ctx context.Context, what string, holds func() bool) (time.Time, error) {
	w := &condition{holds: holds, done: make(chan outcome, 1)}
	c.loop.Post(func() { c.waiting = w })
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("too slow"))
	defer cancel()
	select {
	case o := <-w.done:
		return o.at, o.err
	case <-ctx.Done():
		var state string
		if c.Do(func() { state = fmt.Sprintf("%d settled, %d under way, %d pings", c.Settled, c.pending, c.Pings) }) != nil {
			state = "the loop is stuck"
		}
		return time.Time{}, fmt.Errorf("wait for %s: %w, with %s", what, context.Cause(ctx), state)
	}
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
		c.tell()
	}
	c.owner.Turn()
	return c.due()
}

func (c *Clients) due() bool { return len(c.queue) > 0 && c.pending < c.o.InFlight && c.Err == nil }

// Fail ends the run. It is called on the loop.
func (c *Clients) Fail(err error) {
	if c.Err != nil {
		return
	}
	c.Err = err
	if c.waiting != nil {
		c.tell()
	}
}

// tell ends the wait for the condition.
func (c *Clients) tell() {
	c.waiting.done <- outcome{at: time.Now(), err: c.Err}
	c.waiting = nil
}
