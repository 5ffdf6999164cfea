package torture

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// pace is how a client reads.
type pace int32

const (
	readNothing pace = iota
	readSlowly
	readAll
)

// wire is one connection of a random client. One goroutine reads, as fast as the client has it,
// and judges the replies; it ends with the connection, and close waits for it.
type wire struct {
	// Immutable
	c       *client
	conn    *net.TCPConn
	replies *replies
	ended   chan struct{} // closed by the reader at the end of input
	woken   chan struct{} // holds one: sent to by the client, received by the reader

	// Atomic
	pace atomic.Int32
}

// dial opens a connection, from one of many addresses and at times with a small
// window.
func (c *client) dial(ctx context.Context) (*wire, error) {
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+c.random.IntN(250)))},
		Timeout:   patience,
	}
	if chance(c.random, 30) {
		d.Control = gatewaytest.SmallWindow
	}
	reads := pick(c.random, readAll, readAll, readAll, readSlowly, readNothing)
	conn, err := d.DialContext(ctx, "tcp", c.r.gateway.Public)
	if err != nil {
		return nil, err
	}
	w := &wire{c: c, conn: conn.(*net.TCPConn), replies: &replies{}, ended: make(chan struct{}), woken: make(chan struct{}, 1)}
	w.pace.Store(int32(reads))
	c.journal.note("connects from %v, pace %d", conn.LocalAddr(), reads)
	go w.reader()
	return w, nil
}

// read changes how fast it reads.
func (w *wire) read(p pace) {
	w.pace.Store(int32(p))
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Read reads at the present pace. A client that reads nothing waits here until it
// reads again.
func (w *wire) Read(b []byte) (int, error) {
	for pace(w.pace.Load()) == readNothing {
		<-w.woken
	}
	if pace(w.pace.Load()) == readSlowly {
		b = b[:min(len(b), 200)]
		select {
		case <-w.woken:
		case <-time.After(3 * time.Millisecond):
		}
	}
	return w.conn.Read(b)
}

// reader reads until the connection ends.
func (w *wire) reader() {
	defer close(w.ended)
	err := w.replies.read(bufio.NewReaderSize(w, 4096))
	var bad *badReply
	if errors.As(err, &bad) {
		w.c.r.fault("client %d got %v; its last steps:\n%s", w.c.n, bad, w.c.journal.tail(25))
	} else {
		w.c.journal.note("  the connection ended: %v", err)
	}
}

// close ends the connection, whatever is still on the way, and returns the positions received
// over it.
func (w *wire) close() []string {
	w.conn.Close()
	w.read(readAll)
	<-w.ended
	return w.replies.positions
}

// send writes bytes, as a whole or in pieces, and reports whether the life goes
// on: at times it is cut off in the middle.
func (c *client) send(w *wire, b []byte) bool {
	shown := b[:min(len(b), 300)]
	cut := len(b) > 0 && chance(c.random, 3)
	if cut {
		b = b[:c.random.IntN(len(b))]
	}
	pieces := 1
	if chance(c.random, 25) {
		pieces = 1 + c.random.IntN(12)
	}
	c.journal.note("sends %d bytes in up to %d pieces: %q", len(b), pieces, shown)
	for ; pieces > 0 && len(b) > 0; pieces-- {
		n := len(b)
		if pieces > 1 {
			n = 1 + c.random.IntN(min(len(b), 2*len(b)/pieces+1))
		}
		wait := time.Duration(c.random.IntN(4)) * time.Millisecond
		w.conn.SetWriteDeadline(time.Now().Add(2 * time.Second)) // where the gateway takes no more
		if _, err := w.conn.Write(b[:n]); err != nil {
			c.journal.note("  %v", err)
			return false
		}
		if b = b[n:]; len(b) > 0 {
			select {
			case <-w.ended:
				return false
			case <-time.After(wait):
			}
		}
	}
	return !cut
}
