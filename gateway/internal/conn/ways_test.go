package conn

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// send writes b, and over TLS close_notify behind it if the peer ends its side, in one write. It has the
// connection read that.
func (p *peer) send(b []byte, last bool) {
	if p.tls != nil {
		var err error
		if b, _, err = p.w.layer.AppendData(nil, &p.tls.State, p.tls.Wide, [][]byte{b}, 0); err == nil && last {
			b, err = p.w.layer.AppendClose(b, &p.tls.State, p.tls.Wide)
		}
		if err != nil {
			p.w.t.Fatal(err)
		}
	}
	if _, err := syscall.Write(p.fd, b); err != nil {
		p.w.t.Fatal(err)
	}
	if p.w.Reading.Now(p.slot); last && p.tls == nil {
		syscall.Shutdown(p.fd, syscall.SHUT_WR)
		p.w.Reading.Now(p.slot)
	}
	p.w.Reap()
}

// receiveAll returns all that the peer is sent, while the connection flushes.
func (p *peer) receiveAll() (all []byte) {
	for got := p.receive(); got != nil || p.w.Out.Queued(p.slot); got = p.receive() {
		all = append(all, got...)
		p.w.Out.flush(p.slot, p.w.Slots.at(p.slot))
	}
	return all
}

// The goodbye and the end of the stream are one write.
func TestGoodbyeIsOneWrite(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, w *owner) {
		p, writes := w.connect(), 0
		w.Out.OnWrite(func(uint32) { writes++ })
		w.Finish(p.slot, reasons.CloseDrain, []byte("good"), []byte("bye"))
		w.Reap()
		if got := p.receive(); string(got) != "goodbye" || p.ended != w.secure || writes != 1 {
			t.Errorf("got %q in %d writes, close_notify %v", got, writes, p.ended)
		}
		if got := p.receive(); got == nil || len(got) > 0 {
			t.Errorf("behind it came %q", got)
		}
	})
}

// All that is sent in any way comes in order, however little of it the kernel takes at a time.
func TestOutputIsInOrder(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, w *owner) {
		if w.Out.UseBatches() != nil {
			t.Log("without io_uring")
		}
		p, random := w.connect(), rand.New(rand.NewPCG(1, 2))
		var want, got []byte
		some := func(most int) []byte {
			b := make([]byte, 1+random.IntN(most))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			want = append(want, b...)
			return b
		}
		for n := range 2000 {
			switch random.IntN(5) {
			case 0:
				w.Out.SendBytes(p.slot, some(100_000))
			case 1:
				w.Out.SendCopy(p.slot, some(300))
			case 2:
				w.Out.SendBatched(p.slot, Out{Bytes: some(5000)})
			case 3:
				w.Out.SendHistory(p.slot, [][]byte{some(20_000), some(100), some(20_000)})
			case 4:
				w.Out.Cork(p.slot)
				w.Out.SendBytes(p.slot, some(500))
				w.Out.SendCopy(p.slot, some(20_000))
				w.Out.Uncork(p.slot)
			}
			if random.IntN(3) == 0 {
				w.Out.Submit()
			}
			if random.IntN(100) == 0 || n == 1999 {
				w.Out.Submit()
				got = append(got, p.receiveAll()...)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes came of %d, or others", len(got), len(want))
		}
		if n, held := w.Out.Used(); n != 0 || held != 0 {
			t.Errorf("%d queues of %d bytes are left", n, held)
		}
	})
}

// What a client's last bytes cause is sent, also if its end comes with them.
func TestReplyToTheLastBytes(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, w *owner) {
		w.reply = []byte("reply")
		p := w.connect()
		p.send([]byte("last"), true)
		if got := p.receive(); string(got) != "reply" || w.received[p.slot] != "last" {
			t.Errorf("%q is answered by %q", w.received[p.slot], got)
		}
		if w.Slots.Len() != 0 {
			t.Error("the connection is left")
		}
	})
}

// A connection that is cut off by a write keeps nothing of what is written.
func TestCutOffByAWrite(t *testing.T) {
	bothWays(t, Options{}, func(t *testing.T, w *owner) {
		p := w.connect()
		w.Out.OnWrite(func(i uint32) { w.Release(i, reasons.CloseReset) })
		w.Out.SendBytes(p.slot, make([]byte, 1_000_000))
		w.Reap()
		if n, held := w.Out.Used(); n != 0 || held != 0 || w.Slots.Len() != 0 {
			t.Errorf("%d queues of %d bytes and %d connections are left", n, held, w.Slots.Len())
		}
	})
}

// Of many clients over a limit, a few get a slot for a handshake, for about a second; the others are closed
// at once.
func TestRejectedOverTLSAreFew(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Minute})
	w.options.MaxConnections = 0
	var ends []*peer
	for range 2 * maxRejectedTLS {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{w: w, fd: fds[1]}
		t.Cleanup(p.close)
		if w.Acceptor.Adopt(fds[0], netip.AddrPort{}, true) != 0 {
			t.Fatal("it isn't rejected")
		}
		ends = append(ends, p)
	}
	closed := 0
	for _, p := range ends {
		if got := p.receive(); got != nil && len(got) == 0 {
			closed++
		}
	}
	if closed != maxRejectedTLS || w.Slots.Len() != maxRejectedTLS || w.shared.Connections.Load() != 0 {
		t.Errorf("%d are closed, %d have a slot, %d are counted as connections", closed, w.Slots.Len(), w.shared.Connections.Load())
	}
	w.pass(RejectTicks + MuteTicks) // they stay silent
	if w.Slots.Len() != 0 || len(w.Acceptor.rejectedTLS) != 0 {
		t.Errorf("%d are left, with %d entries", w.Slots.Len(), len(w.Acceptor.rejectedTLS))
	}
}

// A rejected client has its place only as long as it needs to read its response.
func TestPlaceOfTheRejected(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Minute})
	w.options.MaxConnections = 0
	p := w.adopt(netip.AddrPort{})
	for p.slot = range w.Acceptor.rejectedTLS {
		server, client, err := tlsrecord.Pair()
		if err != nil {
			t.Fatal(err)
		}
		p.tls = &client
		w.Secure.Begin(p.slot, &server)
	}
	p.send([]byte("please"), false)
	if got := p.receive(); string(got) != "no" || !p.ended {
		t.Errorf("got %q", got)
	}
	w.pass(MuteTicks - 1)
	if w.Acceptor.RejectedTLS() != 1 {
		t.Error("it's cut off at once")
	}
	w.pass(1)
	if w.Acceptor.RejectedTLS() != 0 || w.Slots.Len() != 0 {
		t.Error("it keeps its place")
	}
}
