package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/pushgate/pushgate/bench/rig"
)

// messages is how many the course publishes, numbered from 0.
const messages = 3

// client is what is known of one connection. It exists a million times beside
// the gateway that is measured, so it holds no pointer.
type client struct {
	confirmed uint8
	bye       bool
	got       [messages]uint8
}

// clients are all connections.
type clients struct {
	*rig.Clients

	// Owned by the loop
	conns   []client
	counts  counts
	ready   progress           // clients with all subscriptions confirmed
	got     [messages]progress // deliveries
	gone    progress           // clients that saw bye and 1012, once the drain has begun
	drained bool               // the drain has begun
}

// counts are what can go wrong, and pings.
type counts struct {
	Pings   int    `json:"pings"`
	Gaps    int    `json:"gaps"`
	Doubled int    `json:"doubled"`
	Broken  int    `json:"broken"` // connections that ended when they shouldn't have
	Why     string `json:"why,omitempty"`
}

// channels returns the number of subscriptions of a client.
func channels(slot uint32) uint8 {
	if slot%fewStep == 0 {
		return 2
	}
	return 1
}

func newClients(remote netip.AddrPort, o options) (*clients, error) {
	c := &clients{conns: make([]client, o.clients)}
	one := rig.Request("/v1/ws?channels="+everyone, remote)
	both := rig.Request("/v1/ws?channels="+everyone+","+few, remote)
	var err error
	c.Clients, err = rig.NewClients(rig.Options{
		Remote: remote, Clients: o.clients, InFlight: o.inFlight, AtOnce: true,
		Request: func(slot uint32) []byte {
			if o.personal {
				path := "/v1/ws?channels=" + personal(int(slot))
				if channels(slot) == 2 {
					path += "," + few
				}
				return rig.Request(path, remote)
			}
			if channels(slot) == 2 {
				return both
			}
			return one
		},
	}, c)
	return c, err
}

// connectAll begins to connect every client.
func (c *clients) connectAll() error {
	return c.Do(func() {
		c.ready.begin(len(c.conns))
		for i := range c.conns {
			c.Dial(uint32(i))
		}
	})
}

// comeBack has n clients, evenly spread over all, hang up and connect anew.
func (c *clients) comeBack(n int) error {
	return c.Do(func() {
		c.ready.begin(n)
		for i := range n {
			slot := uint32(i * (len(c.conns) / n))
			c.HangUp(slot)
			c.Dial(slot)
		}
	})
}

// Opened begins with no subscription, also for one that came back.
func (c *clients) Opened(slot uint32) {
	c.conns[slot].confirmed, c.conns[slot].bye = 0, false
}

// Text takes a whole text of the gateway, told by its type's first letter.
func (c *clients) Text(slot uint32, text []byte) error {
	const letter = len(`{"type":"`)
	if len(text) <= letter {
		return fmt.Errorf("unexpected text %q", text)
	}
	cn := &c.conns[slot]
	switch text[letter] {
	case 'w': // welcome
	case 's': // subscribed
		if cn.confirmed++; cn.confirmed == channels(slot) {
			c.Settle(slot)
			c.ready.count++
		}
	case 'm': // message
		return c.message(cn, text)
	case 'b': // bye
		cn.bye = true
	case 'g': // gap
		c.counts.Gaps++
	default:
		return fmt.Errorf("unexpected text %q", text)
	}
	return nil
}

func (c *clients) message(cn *client, text []byte) error {
	at := bytes.Index(text, numberMark)
	if at < 0 || len(text) <= at+len(numberMark) {
		return fmt.Errorf("not a message of this run: %q", text)
	}
	k := int(text[at+len(numberMark)] - '0')
	if k >= messages {
		return fmt.Errorf("not a message of this run: %q", text)
	}
	if cn.got[k]++; cn.got[k] > 1 {
		c.counts.Doubled++
		return nil
	}
	c.got[k].count++
	return nil
}

// Ended counts those who were sent away in order, and the others.
func (c *clients) Ended(slot uint32, err error) {
	cn := &c.conns[slot]
	err = fmt.Errorf("client %d, after a bye: %v: %w", slot, cn.bye, err)
	if closed := (*rig.Closed)(nil); errors.As(err, &closed) && closed.Code == 1012 && c.drained && cn.bye {
		c.gone.count++
		return
	}
	if cn.confirmed < channels(slot) {
		c.Fail(err)
	}
	c.counts.Broken++
	if c.counts.Why == "" {
		c.counts.Why = err.Error()
	}
}

// Turn keeps the curves.
func (c *clients) Turn() {
	c.ready.note()
	c.gone.note()
	for i := range c.got {
		c.got[i].note()
	}
}
