package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// lag is how long the loop sleeps after each turn once all clients are
// connected, to find many of them with something to read. Asleep in epoll it
// would be woken by the servers' writes, at their expense.
const lag = 500 * time.Microsecond

// clients are all connections to one server.
type clients struct {
	*rig.Clients

	// Immutable
	speech speech
	events bool

	// Owned by the loop
	next      []int       // by client: number of the message that comes next
	connected int         // that are still there, once all are
	got       []int       // deliveries, by message
	last      []time.Time // of them, by message: when it was read
	counts    counts
}

// counts are what can go wrong.
type counts struct {
	Lost    int    `json:"lost"`    // messages that did not come to a client, or came late
	Doubled int    `json:"doubled"` // or twice, or late
	Broken  int    `json:"broken"`  // connections that the server ended
	Why     string `json:"why,omitempty"`
}

// newClients prepares the clients of a server, which will get so many messages.
func newClients(r *running, t transport, n, messages, inFlight int) (*clients, error) {
	c := &clients{
		speech: r.speech, events: t == eventsTransport,
		next: make([]int, n), got: make([]int, messages), last: make([]time.Time, messages),
	}
	request := rig.Request(r.path, r.listen)
	if c.events {
		request = rig.RequestEvents(r.path, r.listen)
	}
	var err error
	c.Clients, err = rig.NewClients(rig.Options{
		Remote: r.listen, Clients: n, InFlight: inFlight, Events: c.events,
		Request: func(uint32) []byte { return request },
	}, c)
	return c, err
}

// connect returns once all clients are subscribed.
func (c *clients) connect(ctx context.Context) error {
	c.Post(func() {
		for i := range c.next {
			c.Dial(uint32(i))
		}
	})
	_, err := c.Wait(ctx, fmt.Sprintf("%d handshakes", len(c.next)), func() bool { return c.connected == len(c.next) })
	return err
}

// errLate says that a message did not come to all clients in time.
var errLate = errors.New("late")

// delivered waits until all clients that are left have a message, and returns
// when the last one read it; or errLate.
func (c *clients) delivered(ctx context.Context, message int) (last time.Time, err error) {
	const most = 10 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, most, errLate)
	defer cancel()
	if _, err := c.Wait(ctx, fmt.Sprintf("message %d", message), func() bool { return c.got[message] >= c.connected }); err != nil {
		return last, err
	}
	err = c.Do(func() { last = c.last[message] })
	return last, err
}

// result returns what was lost when all messages have been published.
func (c *clients) result() (counts, error) {
	var all counts
	err := c.Do(func() {
		all = c.counts
		for _, next := range c.next {
			all.Lost += len(c.got) - next
		}
	})
	return all, err
}

// pings returns how many heartbeats have come.
func (c *clients) pings() (n int, err error) {
	err = c.Do(func() { n = c.Pings })
	return n, err
}

// Opened says hello where the server wants to hear it.
func (c *clients) Opened(slot uint32) {
	if c.speech.hello != "" {
		if err := c.Send(slot, []byte(c.speech.hello)); err != nil {
			c.Fail(fmt.Errorf("client %d: %w", slot, err))
		}
	}
	if c.speech.joined == "" {
		c.join(slot)
	}
}

func (c *clients) join(slot uint32) {
	c.Settle(slot)
	c.connected++
}

// Text takes a text of the server.
func (c *clients) Text(slot uint32, text []byte) error {
	if !c.speech.lines {
		return c.line(slot, text)
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if err := c.line(slot, line); err != nil {
			return err
		}
	}
	return nil
}

func (c *clients) line(slot uint32, text []byte) error {
	switch k, ok := number(text); {
	case ok && k < len(c.got):
		c.message(slot, k)
	case ok:
		return fmt.Errorf("message %d was never published", k)
	case c.speech.joined != "" && bytes.HasPrefix(text, []byte(c.speech.joined)):
		c.join(slot)
	case c.speech.ping != "" && string(text) == c.speech.ping:
		c.Pings++
		if !c.events {
			return c.Send(slot, text)
		}
	}
	return nil
}

// message checks that it is the next one.
func (c *clients) message(slot uint32, k int) {
	next := c.next[slot]
	if k < next {
		c.counts.Doubled++
		return
	}
	c.counts.Lost += k - next
	c.next[slot] = k + 1
	c.got[k]++
	c.last[k] = c.Heard
}

// Ended counts those that the server sends away, and fails the run when not
// even the handshake came through.
func (c *clients) Ended(slot uint32, err error) {
	err = fmt.Errorf("client %d: %w", slot, err)
	if c.connected < len(c.next) {
		c.Fail(err)
		return
	}
	c.connected--
	c.counts.Broken++
	if c.counts.Why == "" {
		c.counts.Why = err.Error()
	}
}

// Turn lags.
func (c *clients) Turn() {
	if c.connected > 0 && c.connected == len(c.next)-c.counts.Broken {
		time.Sleep(lag)
	}
}
