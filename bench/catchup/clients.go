package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// clients are all connections.
type clients struct {
	*rig.Clients

	// Immutable
	subscribe []byte // the text that subscribes; nil where the request does
	caught    int    // number of the last message that was there when the storm began
	last      int    // and of the one that ends it

	// Owned by the loop
	next     []int       // by client: number of the message that comes next
	opened   int         // handshakes done
	caughtUp []time.Time // when each client, in order, had what it missed
	finished int         // clients that have all messages
}

// newClients prepares the clients. With before they connect now and subscribe
// when they begin, else they do both then.
func newClients(remote netip.AddrPort, since string, first, end int, o options, before bool) (*clients, error) {
	path := "/v1/ws?channels=" + channel + "&cursor=" + since
	c := &clients{caught: end - o.live - 1, last: end - 1, next: make([]int, o.clients)}
	for i := range c.next {
		c.next[i] = first
	}
	if before {
		path = "/v1/ws"
		c.subscribe = fmt.Appendf(nil, `{"type":"subscribe","channel":%q,"since":%q}`, channel, since)
	}
	request := rig.Request(path, remote)
	var err error
	c.Clients, err = rig.NewClients(rig.Options{
		Remote: remote, Clients: o.clients, InFlight: o.inFlight,
		Request: func(uint32) []byte { return request },
	}, c)
	if err == nil && before {
		c.Post(c.connect)
	}
	return c, err
}

// connect has all clients connect, on the loop.
func (c *clients) connect() {
	for i := range c.next {
		c.Dial(uint32(i))
	}
}

// begin starts the storm, on the loop.
func (c *clients) begin() {
	if c.subscribe == nil {
		c.connect()
		return
	}
	for i := range c.next {
		if err := c.Send(uint32(i), c.subscribe); err != nil {
			c.Fail(err)
		}
	}
}

// finish waits until all clients have all messages.
func (c *clients) finish(ctx context.Context) error {
	_, err := c.Wait(ctx, "all messages", func() bool { return c.finished == len(c.next) })
	if err != nil {
		c.Do(func() {
			err = fmt.Errorf("%d of %d clients connected, %d caught up, %d finished: %w", c.opened, len(c.next), len(c.caughtUp), c.finished, err)
		})
	}
	return err
}

// Opened counts the handshake.
func (c *clients) Opened(slot uint32) {
	c.opened++
	c.Settle(slot)
}

// Ended has the run fail: nobody may leave.
func (c *clients) Ended(slot uint32, err error) { c.Fail(fmt.Errorf("client %d: %w", slot, err)) }

// Turn has nothing to do.
func (c *clients) Turn() {}

// What a text begins with, and what stands before a message's number.
var (
	isMessage = []byte(`{"type":"message","channel":"` + channel + `","id":"`)
	isOther   = [][]byte{[]byte(`{"type":"welcome"`), []byte(`{"type":"subscribed"`)}
	number    = []byte(`","data":{"n":`)
)

// Text checks that a message is the next one. It looks only where it has to:
// the clients share the machine with the gateway.
func (c *clients) Text(slot uint32, text []byte) error {
	rest, ok := bytes.CutPrefix(text, isMessage)
	if !ok {
		for _, prefix := range isOther {
			if bytes.HasPrefix(text, prefix) {
				return nil
			}
		}
		return fmt.Errorf("got %.200q", text)
	}
	_, rest, _ = bytes.Cut(rest, number)
	n := 0
	for len(rest) > 0 && '0' <= rest[0] && rest[0] <= '9' {
		n = 10*n + int(rest[0]-'0')
		rest = rest[1:]
	}
	next := c.next[slot]
	if n != next {
		return fmt.Errorf("got message %d in place of %d: %.200q", n, next, text)
	}
	if next == c.caught {
		c.caughtUp = append(c.caughtUp, time.Now())
	}
	if next == c.last {
		c.finished++
	}
	c.next[slot]++
	return nil
}
