package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// client is a random one: it lives many lives, each over one connection. All that it chooses
// comes from its seed; only the positions that it repeats differ from one play to the next.
type client struct {
	// Immutable
	r       *round
	n       int
	journal *journal
	jwt     bool

	// Owned by the client's goroutine
	random    *rand.Rand
	positions []string // that it was given
}

func newClient(r *round, n int, set *settings) *client {
	return &client{r: r, n: n, jwt: set.jwt, journal: r.newJournal(fmt.Sprint("client-", n)),
		random: rand.New(rand.NewPCG(r.seed, uint64(n)+1))}
}

// shared is the clients' knowledge of each other.
type shared struct {
	// Guarded by mu
	mu        sync.Mutex
	positions []string // some that any of them was given
}

func (s *shared) give(position string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.positions) < 500 {
		s.positions = append(s.positions, position)
	} else {
		s.positions[len(position)*31%500] = position
	}
}

func (s *shared) take(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.positions) == 0 {
		return ""
	}
	return s.positions[n%len(s.positions)]
}

// run lives one life after the other.
func (c *client) run(ctx context.Context) {
	for life := 1; ctx.Err() == nil; life++ {
		// A generator for each life: the answers to one don't shift the next.
		c.random = rand.New(rand.NewPCG(c.r.seed, uint64(c.n+1)<<32|uint64(life)))
		c.journal.note("life %d", life)
		c.live(ctx)
		pause(ctx, time.Duration(c.random.IntN(60))*time.Millisecond)
	}
}

// live opens a connection, does something over it, and leaves it in one of the
// ways in which clients do.
func (c *client) live(ctx context.Context) {
	w, err := c.dial(ctx)
	if err != nil {
		c.journal.note("%v", err)
		return
	}
	defer func() {
		for _, position := range w.close() {
			if c.positions = append(c.positions, position); len(c.positions) > 50 {
				c.positions = c.positions[1:]
			}
			c.r.shared.give(position)
		}
	}()
	switch n := c.random.IntN(20); {
	case n < 8:
		c.webSocketLife(ctx, w)
	case n < 11:
		c.send(w, c.get(c.sseTarget(), "Accept: text/event-stream"))
		c.linger(ctx, w)
	case n < 15:
		c.pollLife(ctx, w)
	case n < 19:
		c.requestLife(ctx, w)
	default:
		c.send(w, c.bytes(c.random.IntN(600)))
	}
	c.leave(ctx, w)
}

// linger waits, mostly for a moment and at times for as long as the gateway's
// time-outs take.
func (c *client) linger(ctx context.Context, w *wire) {
	d := time.Duration(c.random.IntN(60)) * time.Millisecond
	if chance(c.random, 8) {
		d = time.Duration(200+c.random.IntN(1500)) * time.Millisecond
	}
	select {
	case <-ctx.Done():
	case <-w.ended:
	case <-time.After(d):
	}
}

// leave ends the connection.
func (c *client) leave(ctx context.Context, w *wire) {
	switch c.random.IntN(6) {
	case 0:
		c.journal.note("reset")
		w.conn.SetLinger(0)
	case 1:
		c.journal.note("half-close")
		w.conn.CloseWrite()
		c.linger(ctx, w)
	case 2:
		c.journal.note("half-close and reset")
		w.conn.CloseWrite()
		w.conn.SetLinger(0)
	case 3:
		c.journal.note("wakes up and reads all")
		w.read(readAll)
		c.linger(ctx, w)
	case 4:
		c.journal.note("waits for the end")
		w.read(readAll)
		w.conn.CloseWrite()
		select {
		case <-ctx.Done():
		case <-w.ended:
		case <-time.After(3 * time.Second):
		}
	default:
		c.journal.note("close")
	}
}

// position returns the position that the client claims: often one of its own, also others',
// damaged ones and none.
func (c *client) position() string {
	n := c.random.IntN(1 << 20)
	kind := c.random.IntN(12)
	damage := c.random.IntN(1 << 20)
	var p string
	switch {
	case kind < 4 && len(c.positions) > 0:
		p = c.positions[n%len(c.positions)]
	case kind < 7:
		p = c.r.shared.take(n)
	case kind == 7:
		p = pick(c.random, "0-0", "1-1", "9999999999999-9", "~x-1", "~-", "c", "cAQ", "-", "18446744073709551615-18446744073709551615")
	case kind == 8:
		if b := []byte(c.r.shared.take(n)); len(b) > 0 {
			b[damage%len(b)] ^= 1 << (damage % 6)
			p = string(b)
		}
	case kind == 9:
		if b := c.r.shared.take(n); len(b) > 0 {
			p = b[:damage%len(b)]
		}
	}
	return p
}

// bytes returns random ones.
func (c *client) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.random.Uint32())
	}
	return b
}
