package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pushgate/internal/reactor"
	"pushgate/internal/wsframe"
)

// messages is how many the course publishes, numbered from 0.
const messages = 3

// clientsPerAddress leaves the kernel several free ports to choose from: with
// most of an address's ports taken each connect has to search for one.
const clientsPerAddress = 10_000

// addressesFor is the number of source addresses of n clients.
func addressesFor(n int) int { return n/clientsPerAddress + 2 }

// sourceOf returns the address that client i connects from.
func sourceOf(i, addresses int) netip.Addr {
	i %= addresses
	return netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)})
}

// clients are all connections, on one event loop.
type clients struct {
	// Immutable
	loop     *reactor.Loop
	remote   netip.AddrPort
	requests [2][]byte // of a client with one channel, and with both
	inFlight int
	fresh    wsframe.Reader

	// Owned by the loop's goroutine
	conns   []client
	partial map[uint32]*partial // those in the middle of an answer or a frame
	queue   []uint32            // slots to connect, first to last
	pending int                 // handshakes under way
	alive   int                 // connections past their handshake
	counts  counts
	ready   progress           // clients with all subscriptions confirmed
	got     [messages]progress // deliveries
	gone    progress           // clients that saw bye and 1012, once the drain has begun
	drained bool               // the drain has begun
	err     error              // why no more connects are made
	in      [64 << 10]byte
	out     []byte
}

// counts are what can go wrong, and pings.
type counts struct {
	Pings   int    `json:"pings"`
	Gaps    int    `json:"gaps"`
	Doubled int    `json:"doubled"`
	Broken  int    `json:"broken"` // connections that ended when they shouldn't have
	Why     string `json:"why,omitempty"`
}

func newClients(remote netip.AddrPort, n, inFlight int) (*clients, error) {
	c := &clients{
		remote: remote, inFlight: inFlight,
		fresh: wsframe.NewReader(wsframe.Client, 1<<20),
		conns: make([]client, n), partial: map[uint32]*partial{},
	}
	for i, channels := range []string{everyone, everyone + "," + few} {
		c.requests[i] = fmt.Appendf(nil, "GET /v1/ws?channels=%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", channels, remote)
	}
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

// close ends the loop and what is still connected.
func (c *clients) close() {
	c.loop.Close()
	for i := range c.conns {
		if c.conns[i].phase != phaseNone {
			reactor.CloseFD(int(c.conns[i].fd))
		}
	}
}

// connectAll begins to connect every client.
func (c *clients) connectAll() error {
	return c.do(func() {
		c.ready.begin(len(c.conns))
		c.queue = make([]uint32, len(c.conns))
		for i := range c.queue {
			c.queue[i] = uint32(i)
		}
	})
}

// comeBack has n clients, evenly spread over all, hang up and connect anew.
func (c *clients) comeBack(n int) error {
	return c.do(func() {
		c.ready.begin(n)
		for i := range n {
			slot := uint32(i * (len(c.conns) / n))
			c.hangUp(slot)
			c.queue = append(c.queue, slot)
		}
	})
}

// Turn starts the connects that are due and keeps the curves.
func (c *clients) Turn() (more bool) {
	const slice = 64 // connects between two looks at the events
	for range slice {
		if len(c.queue) == 0 || c.pending >= c.inFlight || c.err != nil {
			break
		}
		c.dial(c.queue[0])
		c.queue = c.queue[1:]
	}
	c.ready.note()
	c.gone.note()
	for i := range c.got {
		c.got[i].note()
	}
	return len(c.queue) > 0 && c.pending < c.inFlight && c.err == nil
}

// fail ends the run.
func (c *clients) fail(err error) {
	if c.err == nil {
		c.err = err
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
	case <-time.After(time.Minute):
		return errors.New("the clients' loop does not answer")
	}
}
