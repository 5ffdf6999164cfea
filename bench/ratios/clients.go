package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// path is a WebSocket endpoint of both servers; the bare loop takes any.
const path = "/v1/ws?channels=" + channel

// channel is what all clients subscribe to.
const channel = "bench"

// lag is how long the loop sleeps after each turn once all clients are ready,
// to find many of them with something to read. Asleep in epoll it would be
// woken by the servers' writes, at their expense, and more often by the bare
// loop, which leaves a CPU to the clients: that took 0.1 off the delivery's
// ratio.
const lag = 500 * time.Microsecond

// clients are all connections to one server.
type clients struct {
	*rig.Clients

	// Immutable
	gateway bool // a client is ready once its subscription is confirmed

	// Owned by the loop
	conns    []client
	want     int // how many there should be
	messages int // received by all clients
}

// client is what is known of one connection.
type client struct {
	ready    bool
	messages int
}

// newClients prepares at most n clients.
func newClients(remote netip.AddrPort, gateway bool, n, inFlight int) (*clients, error) {
	c := &clients{gateway: gateway, conns: make([]client, n)}
	request := rig.Request(path, remote)
	var err error
	c.Clients, err = rig.NewClients(rig.Options{
		Remote: remote, Clients: n, InFlight: inFlight,
		Request: func(uint32) []byte { return request },
	}, c)
	return c, err
}

// connect opens connections until there are n and all of them are ready.
func (c *clients) connect(ctx context.Context, n int) error {
	c.Post(func() {
		for ; c.want < n; c.want++ {
			c.Dial(uint32(c.want))
		}
	})
	_, err := c.Wait(ctx, fmt.Sprintf("%d handshakes", n), func() bool { return c.Settled == n })
	return err
}

// quiet waits for a pause in what the server sends, so that no ping is half
// accounted for; a server that makes none is measured as it is.
func (c *clients) quiet() error {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(pause / 4) {
		var heard time.Time
		if err := c.Do(func() { heard = c.Heard }); err != nil {
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
	err := c.Do(func() {
		for i := range c.conns[:c.want] {
			if got := c.conns[i].messages; got != n {
				wrong = fmt.Errorf("client %d received %d messages, want %d", i, got, n)
				return
			}
		}
	})
	return errors.Join(err, wrong)
}

// Opened is all that the bare loop has to say.
func (c *clients) Opened(slot uint32) {
	if !c.gateway {
		c.ready(slot)
	}
}

func (c *clients) ready(slot uint32) {
	c.conns[slot].ready = true
	c.Settle(slot)
}

// markAt is where the first letter of the type stands in a text of the gateway,
// which tells its messages apart.
const markAt = len(`{"type":"`)

// Text counts a whole text message.
func (c *clients) Text(slot uint32, text []byte) error {
	cn := &c.conns[slot]
	var mark byte
	if len(text) > markAt {
		mark = text[markAt]
	}
	switch {
	case cn.ready && (!c.gateway || mark == 'm'): // message
		cn.messages++
		c.messages++
	case c.gateway && !cn.ready && mark == 'w': // welcome
	case c.gateway && !cn.ready && mark == 's': // subscribed
		c.ready(slot)
	default:
		return fmt.Errorf("unexpected message whose type starts with %q", mark)
	}
	return nil
}

// Ended has the measurement fail: nobody may leave.
func (c *clients) Ended(slot uint32, err error) { c.Fail(fmt.Errorf("client %d: %w", slot, err)) }

// Turn lags.
func (c *clients) Turn() {
	if c.Settled > 0 && c.Settled == c.want {
		time.Sleep(lag)
	}
}
