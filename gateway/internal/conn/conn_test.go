package conn

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// owner is a Handler that keeps what it gets. Its loop doesn't run: the test is the loop.
type owner struct {
	*Set
	t        testing.TB
	received map[uint32]string
	closed   map[uint32]reasons.Close
	drained  int
	due      []uint32
	dueEnds  bool   // a deadline of the handler's ends the connection
	secure   bool   // its connections speak TLS
	reply    []byte // to all that is received
	layer    tlsrecord.Layer
}

// bothWays runs a test in the clear and over TLS.
func bothWays(t *testing.T, o Options, test func(t *testing.T, w *owner)) {
	for name, secure := range map[string]bool{"in the clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			w := newOwner(t, o)
			w.secure = secure
			test(t, w)
		})
	}
}

// withBatches is bothWays with io_uring.
func withBatches(t *testing.T, test func(t *testing.T, w *owner)) {
	bothWays(t, Options{}, func(t *testing.T, w *owner) {
		if err := w.Out.UseBatches(); err != nil {
			t.Skip("io_uring is not available: ", err)
		}
		test(t, w)
	})
}

func newOwner(t testing.TB, o Options) *owner {
	t.Helper()
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := &owner{t: t, received: make(map[uint32]string), closed: make(map[uint32]reasons.Close)}
	shared := &Shared{Limited: limit.NewLogLimiter(time.Second), Started: time.Now()}
	o.MaxConnections, o.Descriptors, o.ProxyProtocol = 1000, 1000, proxy.Off
	o.TotalInputBytes = 1 << 30
	if o.TotalQueueBytes == 0 {
		o.TotalQueueBytes = 1 << 30
	}
	if w.Set, err = New(shared, []Listener{{Listener: l}}, &o, slog.New(slog.DiscardHandler), w, w); err != nil {
		l.Close()
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func (w *owner) Turn() (more bool) {
	more = w.Advance()
	w.Out.Submit()
	more = w.ReadMore() || more
	w.Reap()
	return more
}

func (w *owner) Accepted(uint32)     {}
func (w *owner) ReadSize(uint32) int { return ReadBuffer }
func (w *owner) Received(i uint32, p []byte) {
	w.received[i] += string(p)
	if w.reply != nil {
		w.Out.SendCopy(i, w.reply)
	}
}
func (w *owner) HalfClosed(i uint32)                { w.Release(i, reasons.CloseByClient) }
func (w *owner) BadProxyHeader(i uint32, err error) { w.Release(i, reasons.CloseRejected) }
func (w *owner) OverAddress(uint32)                 {}
func (w *owner) PlainOnTLS(i uint32)                { w.Release(i, reasons.CloseRejected) }
func (w *owner) Due(i uint32) {
	if w.due = append(w.due, i); w.dueEnds {
		w.Release(i, reasons.CloseSlow)
	}
}
func (w *owner) Progress(uint32)                                     {}
func (w *owner) Drained(uint32)                                      { w.drained++ }
func (w *owner) Lossy(uint32, *Out) (queue.Kind, bool)               { return 0, false }
func (w *owner) Overflow(uint32, *queue.Queue)                       {}
func (w *owner) EvictInput(i uint32)                                 { w.Release(i, reasons.CloseOverload) }
func (w *owner) Evict(i uint32)                                      { w.Release(i, reasons.CloseOverload) }
func (w *owner) Decline([]byte, reasons.Reject, bool) ([]byte, bool) { return []byte("no"), false }
func (w *owner) Closed(i uint32, reason reasons.Close)               { w.closed[i] = reason }
func (w *owner) Reaped(uint32)                                       {}

// peer is the client's end of a connection.
type peer struct {
	w    *owner
	fd   int
	slot uint32

	tls   *tlsrecord.Result // its side of TLS, or nil
	rest  []byte            // start of a record
	ended bool              // close_notify came
}

func (w *owner) connect() *peer {
	w.t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &peer{w: w, fd: fds[1], slot: w.Acceptor.Adopt(fds[0], netip.AddrPort{}, w.secure)}
	w.t.Cleanup(p.close)
	if w.secure && p.slot != 0 {
		server, client, err := tlsrecord.Pair()
		if err != nil {
			w.t.Fatal(err)
		}
		p.tls = &client
		w.Secure.Begin(p.slot, &server)
	}
	return p
}

func (p *peer) close() {
	if p.fd >= 0 {
		syscall.Close(p.fd)
	}
	p.fd = -1
}

// receive returns what was sent to the peer, nil if there is nothing.
func (p *peer) receive() []byte {
	buf := make([]byte, 1<<20)
	n, err := syscall.Read(p.fd, buf)
	if err != nil {
		return nil
	}
	if p.tls == nil || n == 0 {
		return buf[:n]
	}
	data, rest, err := p.w.layer.Receive(append(p.rest, buf[:n]...), &p.tls.State, p.tls.Wide)
	p.rest, p.ended = rest, err == io.EOF
	if err != nil && !p.ended {
		p.w.t.Error(err)
	}
	return data
}

func TestSizeOfSocket(t *testing.T) {
	if n := unsafe.Sizeof(socket{}); n > 24 {
		t.Errorf("a socket takes %d bytes, 24 are budgeted", n)
	}
	text, err := os.ReadFile("../../../docs/ARCHITECTURE.md")
	if row := fmt.Sprintf("| socket | %d |", unsafe.Sizeof(socket{})); err != nil || !strings.Contains(string(text), row) {
		t.Errorf("ARCHITECTURE.md has no row %q: %v", row, err)
	}
}

// A client that takes long once isn't demoted for it: only if it does so again within a few
// seconds.
func TestOnceCostlyIsForgiven(t *testing.T) {
	var d demoted
	one, other := reactor.Key{Slot: 1, Gen: 1}, reactor.Key{Slot: 2, Gen: 1}
	for n, step := range []struct {
		at   uint32
		who  reactor.Key
		want bool
	}{
		{5, one, false}, {6, other, false}, {7, one, true}, {7 + costlyTicks, one, true},
		{8 + 3*costlyTicks, one, false}, {9 + 4*costlyTicks, one, true}, {9 + 6*costlyTicks, one, false},
		{10 + 6*costlyTicks, reactor.Key{Slot: 1, Gen: 2}, false},
	} {
		if got := d.again(step.who, step.at); got != step.want {
			t.Errorf("step %d: %v", n, got)
		}
	}
	for at := range uint32(100) {
		for n := range uint32(10) {
			d.again(reactor.Key{Slot: at, Gen: n}, 1000+at*costlyTicks)
		}
	}
	if n := len(d.lately) + len(d.before); n > 20 {
		t.Errorf("%d clients are remembered", n)
	}
}

// Connections that wait in the kernel are accepted in each round of the loop, not once in all that
// clients have sent.
func TestWaitingConnectionsAreAccepted(t *testing.T) {
	w := newOwner(t, Options{})
	const waiting = 3*AcceptsPerSlice + 1
	for range waiting {
		c, err := net.Dial("tcp", w.Acceptor.listeners[0].Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	turns, more := 0, true
	for w.Acceptor.accept(w.Acceptor.listeners[0]); more && turns < 100; turns++ {
		more = w.Turn()
	}
	if w.Slots.Len() < waiting || turns > 10 {
		t.Errorf("%d of %d connections are accepted in %d turns", w.Slots.Len(), waiting, turns)
	}
}

// Flushed output is released.
func TestFlushHoldsNothing(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, w *owner) {
		p := w.connect()
		for range 3 {
			w.Out.SendBytes(p.slot, make([]byte, 1_000_000))
		}
		for w.Out.Queued(p.slot) {
			p.receive()
			w.Out.flush(p.slot, w.Slots.at(p.slot))
		}
		for i, b := range w.Out.vec {
			if b != nil {
				t.Fatalf("buffer %d of %d bytes is held", i, len(b))
			}
		}
		if w.drained != 1 {
			t.Errorf("drained %d times", w.drained)
		}
	})
}

// A batched send goes out before another direct send to the same client, and before the client is
// closed.
func TestBatchedClientIsSettledFirst(t *testing.T) {
	for name, then := range map[string]func(w *owner, i uint32){
		"a send":   func(w *owner, i uint32) { w.Out.SendBytes(i, []byte("2")) },
		"a copy":   func(w *owner, i uint32) { w.Out.SendCopy(i, []byte("2")) },
		"history":  func(w *owner, i uint32) { w.Out.SendHistory(i, [][]byte{[]byte("2")}) },
		"a batch":  func(w *owner, i uint32) { w.Out.SendBatched(i, Out{Bytes: []byte("2")}) },
		"a goodby": func(w *owner, i uint32) { w.Finish(i, reasons.CloseDrain, []byte("2")) },
	} {
		t.Run(name, func(t *testing.T) {
			withBatches(t, func(t *testing.T, w *owner) {
				p, other := w.connect(), w.connect()
				w.Out.SendBatched(p.slot, Out{Bytes: []byte("1")})
				w.Out.SendBatched(other.slot, Out{Bytes: []byte("x")})
				if got := p.receive(); got != nil {
					t.Fatalf("sent %q before the end of the turn", got)
				}
				then(w, p.slot)
				w.Out.Submit()
				if got := p.receive(); string(got) != "12" {
					t.Errorf("got %q, want 12", got)
				}
				if got := other.receive(); string(got) != "x" {
					t.Errorf("the other client got %q", got)
				}
			})
		})
	}
}

// A client that is released with a send in the batch gets it, and its slot is not written to after
// it was given to the next one.
func TestReleaseOfABatchedClient(t *testing.T) {
	withBatches(t, func(t *testing.T, w *owner) {
		p := w.connect()
		w.Out.SendBatched(p.slot, Out{Bytes: []byte("last")})
		w.Release(p.slot, reasons.CloseByClient)
		w.Reap()
		next := w.connect()
		w.Out.Submit()
		if got := p.receive(); string(got) != "last" {
			t.Errorf("got %q", got)
		}
		if got := next.receive(); got != nil || next.slot != p.slot {
			t.Errorf("the next client, in slot %d, got %q", next.slot, got)
		}
	})
}

// The batch finds a disconnected client, and the others aren't affected.
func TestBatchToTheDead(t *testing.T) {
	withBatches(t, func(t *testing.T, w *owner) {
		dead, alive := w.connect(), w.connect()
		gone := w.Slots.Key(dead.slot)
		dead.close()
		for _, p := range []*peer{dead, alive} {
			w.Out.SendBatched(p.slot, Out{Bytes: []byte("hello")})
		}
		w.Turn()
		if w.Slots.Find(gone) || w.closed[dead.slot] != reasons.CloseReset {
			t.Errorf("the dead client is still there: %v", w.closed)
		}
		if got := alive.receive(); string(got) != "hello" {
			t.Errorf("the other client got %q", got)
		}
		if st := w.Stats(); st.Closes[reasons.CloseReset] != 1 || st.Batched != 2 {
			t.Errorf("closes %v, batched %d", st.Closes, st.Batched)
		}
	})
}

// BenchmarkSlab fills the slots with a million sockets and measures their cost: bytes an entry, and
// the time of a collection.
func BenchmarkSlab(b *testing.B) {
	const entries = 1_000_000
	for b.Loop() {
		before := gatewaytest.HeapInUse()
		var s Slots
		for range entries {
			s.take()
		}
		bytes := gatewaytest.HeapInUse() - before
		begin := time.Now()
		runtime.GC()
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "gc-ms")
		b.ReportMetric(float64(bytes)/entries, "B/entry")
		runtime.KeepAlive(&s)
	}
}

// A demoted client's bytes count at its deadline, even if they haven't been read yet.
func TestDemotedClientsAreNotTimedOut(t *testing.T) {
	w := newOwner(t, Options{})
	p := w.connect()
	c := w.Slots.at(p.slot)
	c.flags |= flagDemoted
	w.Clock.Set(p.slot, 3)
	w.Tick(5)
	for w.Turn() {
	}
	if len(w.due) != 0 {
		t.Errorf("due while it is demoted: %v", w.due)
	}
	c.flags &^= flagDemoted
	w.Tick(6)
	for w.Turn() {
	}
	if len(w.due) != 1 {
		t.Errorf("due once it is read from again: %v", w.due)
	}
}

// A connection that is cut off has no deadline any more.
func TestGoneConnectionsAreNotDue(t *testing.T) {
	w := newOwner(t, Options{})
	p := w.connect()
	w.Clock.Set(p.slot, 1)
	w.Release(p.slot, reasons.CloseReset)
	w.Tick(1)
	w.Advance() // before Reap, as in a turn
	if len(w.due) != 0 {
		t.Errorf("due: %v", w.due)
	}
	w.Reap()
	if w.Slots.Len() != 0 || w.Clock.Len() != 0 {
		t.Errorf("%d connections and %d deadlines are left", w.Slots.Len(), w.Clock.Len())
	}
}
