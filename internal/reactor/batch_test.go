package reactor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newBatch skips the test where io_uring isn't allowed.
func newBatch(t testing.TB) *Batch {
	t.Helper()
	b, err := NewBatch()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(b.Close)
	return b
}

// tcpPair returns two connected non-blocking TCP sockets: the accepted one, and
// the client's with a receive buffer of so many bytes. The caller closes them.
func tcpPair(t testing.TB, l *Listener, buffer int) (a, b int) {
	t.Helper()
	b, err := Connect(netip.Addr{}, netip.MustParseAddrPort(l.Addr()), DialOptions{ReceiveBuffer: buffer})
	if err != nil {
		t.Fatal(err)
	}
	poll := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); n != 1 {
		t.Fatalf("nothing to accept: %v", err)
	}
	a, _, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// stream is a connection with the bytes of its sender.
type stream struct {
	from, to int
	sent     int64  // bytes that were to be sent, numbered from 0
	waiting  []byte // the last of them, which the kernel hasn't taken
	got      int64  // bytes received
	batched  bool
	lost     bool // the sender knows that the peer is gone
	dead     bool // the peer is gone
}

// byteAt is the byte of a stream with a number.
func byteAt(n int64) byte { return byte(n ^ n>>8 ^ n>>16) }

// write adds n bytes to the queue.
func (s *stream) write(n int) {
	for range n {
		s.waiting = append(s.waiting, byteAt(s.sent))
		s.sent++
	}
}

// read takes at most n bytes and checks them.
func (s *stream) read(t *testing.T, n int) {
	buf := make([]byte, n)
	n, err := Read(s.to, buf)
	for _, b := range buf[:max(n, 0)] {
		if b != byteAt(s.got) {
			t.Fatalf("byte %d of a stream is wrong: %v", s.got, err)
		}
		s.got++
	}
}

// A batch has the effect of a write to each socket, whatever the buffers take and whichever
// peer dies: no byte is lost, doubled or out of order.
func TestBatchKeepsStreams(t *testing.T) {
	batch := newBatch(t)
	l := listenOn(t, "127.0.0.1:0", ListenOptions{SendBuffer: 1}) // the kernel's least
	outcomes := map[string]int{}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		streams := make([]*stream, 40)
		for i := range streams {
			s := &stream{}
			s.from, s.to = tcpPair(t, l, 1)
			streams[i] = s
		}
		var added []*stream
		submit := func() {
			shorts := batch.Submit()
			left := map[int][]byte{}
			for _, short := range shorts {
				s := added[short.Index]
				left[short.Index] = bytes.Clone(s.waiting[short.N:])
				switch {
				case short.Err != nil && short.Err != ErrAgain:
					s.lost = true
					outcomes["lost"]++
				case short.N == 0:
					outcomes["refused"]++
				default:
					outcomes["cut short"]++
				}
			}
			outcomes["whole"] += len(added) - len(shorts)
			for i, s := range added {
				s.waiting, s.batched = left[i], false
			}
			added = added[:0]
		}
		add := func(s *stream) {
			if batch.Full() {
				submit()
			}
			if i := batch.Add(s.from, s.waiting); i != len(added) {
				t.Fatalf("send %d of a batch has index %d", len(added), i)
			}
			s.batched = true
			added = append(added, s)
		}
		for range 4000 {
			s := streams[r.IntN(len(streams))]
			switch k := r.IntN(1000); {
			case k < 500 && !s.lost && !s.batched:
				s.write(1 + r.IntN(5000))
				add(s)
			case k < 600:
				submit()
			case k < 990 && !s.dead:
				s.read(t, 1+r.IntN(10_000))
			case k >= 990 && !s.dead:
				s.dead = true // half of them with unread bytes
				if r.IntN(2) == 0 {
					SetLinger0(s.to)
				}
				unix.Close(s.to)
			}
		}
		submit()
		for _, s := range streams {
			for end := time.Now().Add(10 * time.Second); !s.dead && s.got < s.sent; {
				if s.lost || time.Now().After(end) {
					t.Fatalf("%d of %d bytes came, lost: %v", s.got, s.sent, s.lost)
				}
				if len(s.waiting) > 0 {
					add(s)
					submit()
				}
				s.read(t, 64<<10)
			}
			if !s.dead {
				unix.Close(s.to)
			}
			unix.Close(s.from)
		}
	}
	for _, outcome := range []string{"whole", "cut short", "refused", "lost"} {
		if outcomes[outcome] == 0 {
			t.Errorf("no send was %s: %v", outcome, outcomes)
		}
	}
}

// BenchmarkBatch has the CPU time of a send of 128 bytes to each of 512 TCP
// clients, one by one and in batches of several sizes; the clients' reads are
// left out.
func BenchmarkBatch(b *testing.B) {
	message := make([]byte, 128)
	for _, size := range []int{0, 1, 2, 4, 8, 16, 32, 64} {
		name := fmt.Sprintf("batch=%d", size)
		if size == 0 {
			name = "write"
		}
		b.Run(name, func(b *testing.B) {
			l, err := Listen("127.0.0.1:0", ListenOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			var from, to [512]int
			for i := range from {
				from[i], to[i] = tcpPair(b, l, 0)
				defer unix.Close(from[i])
				defer unix.Close(to[i])
			}
			batch := newBatch(b)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var spent int64
			buf := make([]byte, 64<<10)
			for b.Loop() {
				start := threadCPU(b)
				for i, fd := range from {
					if size == 0 {
						Write(fd, message)
						continue
					}
					batch.Add(fd, message)
					if (i+1)%size == 0 {
						batch.Submit()
					}
				}
				spent += threadCPU(b) - start
				for _, fd := range to {
					Read(fd, buf)
				}
			}
			b.ReportMetric(float64(spent)/float64(b.N*len(from)), "cpu-ns/send")
		})
	}
}

func threadCPU(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}
