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

// patience is how long all clients may take for any one thing.
const patience = 2 * time.Minute

// sources are the addresses that clients connect from, in turn: each brings the
// ports of its own.
const sources = 8

// clients are all connections, on one event loop.
type clients struct {
	// Immutable
	loop      *reactor.Loop
	remote    netip.AddrPort
	request   []byte
	subscribe []byte // the frame that subscribes; nil where the request does
	first     int    // number of the first message that each one has missed
	last      int    // and of the one that ends the storm
	caught    int    // and of the last one that was there when it began
	want      int
	inFlight  int

	// Owned by the loop's goroutine
	conns    []client
	begun    bool        // they may subscribe
	open     int         // handshakes done
	caughtUp []time.Time // when each of them, in order, had what it missed
	finished int         // clients that have all messages
	err      error       // why the run is worth nothing
	in       [64 << 10]byte
	out      []byte
}

// newClients prepares the clients. With before they connect now and subscribe
// when they begin, else they do both then.
func newClients(remote netip.AddrPort, since string, first, end int, o options, before bool) (*clients, error) {
	path := "/v1/ws?channels=" + channel + "&cursor=" + since
	c := &clients{remote: remote, first: first, caught: end - o.live - 1, last: end - 1, want: o.clients, inFlight: o.inFlight}
	if before {
		path = "/v1/ws"
		text := fmt.Sprintf(`{"type":"subscribe","channel":%q,"since":%q}`, channel, since)
		c.subscribe = wsframe.AppendMasked(nil, 1, []byte(text), [4]byte{1, 2, 3, 4})
	}
	c.request = []byte("GET " + path + " HTTP/1.1\r\nHost: " + remote.String() + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	var err error
	if c.loop, err = reactor.New(c); err != nil {
		return nil, err
	}
	if err := c.loop.Start(func(err error) { c.loop.Post(func() { c.fail(err) }) }); err != nil {
		c.loop.Close()
		return nil, err
	}
	if before {
		c.loop.Post(c.connect)
	}
	return c, nil
}

// begin starts the storm, on the loop.
func (c *clients) begin() {
	c.begun = true
	if c.subscribe == nil {
		c.connect()
		return
	}
	for i := range c.conns {
		if err := c.send(&c.conns[i], c.subscribe); err != nil {
			c.fail(err)
		}
	}
}

// connect keeps as many connections under way as there may be.
func (c *clients) connect() {
	for c.err == nil && len(c.conns) < c.want && len(c.conns)-c.open < c.inFlight {
		c.dial()
	}
}

// await waits until a condition, which is asked on the loop, holds and all
// clients have come as far as it says.
func (c *clients) await(ctx context.Context, holds func() bool) error {
	end := time.Now().Add(patience)
	for {
		type outcome struct {
			done bool
			err  error
		}
		asked := make(chan outcome, 1)
		if !c.loop.Post(func() {
			asked <- outcome{holds() && (!c.begun || c.finished == c.want), c.err}
		}) {
			return errors.New("the event loop ended")
		}
		select {
		case o := <-asked:
			if o.done || o.err != nil {
				return o.err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d clients are connected, %d caught up and %d finished after %v",
				c.open, c.want, len(c.caughtUp), c.finished, patience)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (c *clients) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// Turn has nothing to do.
func (c *clients) Turn() bool { return false }

// close ends the loop and all connections.
func (c *clients) close() {
	c.loop.Close()
	for i := range c.conns {
		reactor.CloseFD(c.conns[i].fd)
	}
}
