package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pushgate/internal/reactor"
	"pushgate/internal/wsframe"
)

// path is a WebSocket endpoint of both servers; the bare loop takes any.
const path = "/v1/ws?channels=" + channel

// channel is what all clients subscribe to.
const channel = "bench"

// patience is how long the clients may wait for any one thing.
const patience = 2 * time.Minute

// sources are the addresses that clients connect from, in turn: each brings the
// ports of its own.
const sources = 8

// lag is how long the loop sleeps after each turn once all clients are ready,
// to find many of them with something to read. Asleep in epoll it would be
// woken by the servers' writes, at their expense, and more often by the bare
// loop, which leaves a CPU to the clients: that took 0.1 off the delivery's
// ratio.
const lag = 500 * time.Microsecond

// clients are all connections to one server, on one event loop.
type clients struct {
	// Immutable
	loop     *reactor.Loop
	remote   netip.AddrPort
	request  []byte
	gateway  bool // a client is ready once its subscription is confirmed
	inFlight int

	// Owned by the loop's goroutine
	conns    []client
	want     int       // how many there should be
	ready    int       // clients past their handshake
	messages int       // received by all clients
	pings    int       // received, each answered
	heard    time.Time // when something was last read
	waiting  *condition
	err      error // why the run is worth nothing
	fresh    wsframe.Reader
	in       [64 << 10]byte
	out      []byte
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

func newClients(remote netip.AddrPort, gateway bool, inFlight int) (*clients, error) {
	c := &clients{remote: remote, gateway: gateway, inFlight: inFlight, fresh: wsframe.NewReader(wsframe.Client, 1<<20)}
	c.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, remote)
	loop, err := reactor.New(c)
	if err != nil {
		return nil, err
	}
	c.loop = loop
	if err := loop.Start(c.fail); err != nil {
		loop.Close()
		return nil, err
	}
	return c, nil
}

// close ends the loop and resets all connections, so that none of them is left
// in TIME_WAIT.
func (c *clients) close() {
	c.loop.Close()
	for i := range c.conns {
		reactor.SetLinger0(c.conns[i].fd)
		reactor.CloseFD(c.conns[i].fd)
	}
}

// connect opens connections until there are n and all of them are ready.
func (c *clients) connect(ctx context.Context, n int) error {
	c.loop.Post(func() { c.want = n })
	_, err := c.wait(ctx, fmt.Sprintf("%d handshakes", n), func() bool { return c.ready == n })
	return err
}

// wait returns when holds does, and the time at which it first did.
func (c *clients) wait(ctx context.Context, what string, holds func() bool) (time.Time, error) {
	w := &condition{holds: holds, done: make(chan outcome, 1)}
	c.loop.Post(func() { c.waiting = w })
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("too slow"))
	defer cancel()
	select {
	case o := <-w.done:
		return o.at, o.err
	case <-ctx.Done():
		var state string
		if c.do(func() { state = fmt.Sprintf("%d ready, %d messages, %d pings", c.ready, c.messages, c.pings) }) != nil {
			state = "the loop is stuck"
		}
		return time.Time{}, fmt.Errorf("wait for %s: %w, with %s", what, context.Cause(ctx), state)
	}
}

// do runs fn on the loop and waits for it.
func (c *clients) do(fn func()) error {
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

// quiet waits for a pause in what the server sends, so that no ping is half
// accounted for; a server that makes none is measured as it is.
func (c *clients) quiet() error {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(pause / 4) {
		var heard time.Time
		if err := c.do(func() { heard = c.heard }); err != nil {
			return err
		}
		if time.Since(heard) >= pause {
			break
		}
	}
	return nil
}

// checkMessages returns an error unless every client has had n messages.
func (c *clients) checkMessages(n int) error {
	var wrong error
	err := c.do(func() {
		for i := range c.conns {
			if got := c.conns[i].messages; got != n {
				wrong = fmt.Errorf("client %d received %d messages, want %d", i, got, n)
				return
			}
		}
	})
	return errors.Join(err, wrong)
}

// Turn starts the connects that are due, tells the one who waits, and lags.
func (c *clients) Turn() (more bool) {
	for c.err == nil && len(c.conns) < c.want && len(c.conns)-c.ready < c.inFlight {
		c.dial()
	}
	if w := c.waiting; w != nil && (c.err != nil || w.holds()) {
		c.tell()
	}
	if c.ready > 0 && c.ready == c.want {
		time.Sleep(lag)
	}
	return false
}

// fail ends the measurement. It is called on the loop's goroutine.
func (c *clients) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.waiting != nil {
		c.tell()
	}
}

// tell ends the wait for the condition.
func (c *clients) tell() {
	c.waiting.done <- outcome{at: time.Now(), err: c.err}
	c.waiting = nil
}
