package gateway

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// handshaken opens a WebSocket without channels and reads its welcome.
func (in *instance) handshaken() net.Conn {
	in.t.Helper()
	c := in.raw(upgradeHead)
	for text := ""; !strings.HasSuffix(text, "}"); {
		var b [1024]byte
		n, err := c.Read(b[:])
		if err != nil {
			in.t.Fatal(err)
		}
		text += string(b[:n])
	}
	return c
}

// segments returns how many segments with data a client got.
func segments(t testing.TB, c net.Conn) (n uint32) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			var info [160]byte // struct tcp_info of linux/tcp.h, up to tcpi_data_segs_in
			size := uint32(len(info))
			_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
				uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
			if errno != 0 || size < 156 {
				t.Fatalf("getsockopt: %v, %d bytes", errno, size)
			}
			n = binary.NativeEndian.Uint32(info[152:])
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// All that a client sends at once is answered in one write, or few.
func TestAnswersGoTogether(t *testing.T) {
	in := start(t, withoutRates).ready()
	const many = 100
	ping := wsframe.AppendMasked(nil, ws.OpPing, []byte("0123456789"), [4]byte{1, 2, 3, 4})
	large := wsframe.AppendMasked(nil, ws.OpPing, make([]byte, 125), [4]byte{1, 2, 3, 4})
	healthz := "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
	one := in.raw(healthz)
	var b [1024]byte
	answer, err := one.Read(b[:])
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		c      net.Conn
		send   string
		answer int // bytes of all
	}{
		"pings":       {in.handshaken(), strings.Repeat(string(ping), many), many * (2 + 10)},
		"large pings": {in.handshaken(), strings.Repeat(string(large), 2*many), 2 * many * (2 + 125)}, // more than is gathered
		"requests":    {one, strings.Repeat(healthz, many), many * answer},
	} {
		before := segments(t, test.c)
		if _, err := io.WriteString(test.c, test.send); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, test.c, int64(test.answer)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := segments(t, test.c) - before; n > 8 {
			t.Errorf("%s: %d answers came in %d segments", name, many, n)
		}
	}
}

// A client that sends little has its turn before those whose bytes keep the loop
// busy, however many they are.
func TestCostlyClientsHaveTheirTurnLast(t *testing.T) {
	in := start(t, func(c *Config) {
		withoutRates(c)
		c.Shards = 1
	}).ready()
	s := in.shards[0]
	const clients = 40
	stop := make(chan struct{}) // closed at the end
	requests := []byte(strings.Repeat("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 4000))
	for range clients {
		c := in.raw("")
		go io.Copy(io.Discard, c) // ends with the connection, as does the next
		go func() {
			for {
				if _, err := c.Write(requests); err != nil {
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	defer close(stop)
	modest := in.handshaken()
	var fd int
	in.onLoop(func(s *shard) bool {
		s.conns.each(func(_ uint32, c *conn) {
			if c.kind == kindWebSocket {
				fd = int(c.fd)
			}
		})
		return true
	})
	ping := wsframe.AppendMasked(nil, ws.OpPing, nil, [4]byte{1, 2, 3, 4})
	eventually(t, "most are demoted", func() bool {
		return in.onLoop(func(s *shard) bool { return len(s.demoted.list) > clients/2 })
	})
	var meanwhile []uint64 // bytes read from others for each ping
	for range 50 {
		sent, taken := make(chan struct{}), make(chan uint64, 1)
		s.post(func() {
			<-sent
			before := s.stats.bytesIn
			var look func()
			look = func() {
				if n, _, _ := syscall.Recvfrom(fd, make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT); n > 0 {
					s.post(look)
					return
				}
				taken <- s.stats.bytesIn - before
			}
			s.post(look)
		})
		_, err := modest.Write(ping)
		close(sent)
		if err == nil {
			_, err = io.ReadFull(modest, make([]byte, 2))
		}
		if err != nil {
			t.Fatal(err)
		}
		meanwhile = append(meanwhile, <-taken)
	}
	slices.Sort(meanwhile)
	if median := meanwhile[len(meanwhile)/2]; median > clients/4*readRequests {
		t.Errorf("%d KiB of others are read before a ping is, of %d clients with %d KiB each", median>>10, clients, readRequests>>10)
	}
}

// A client that takes long once isn't demoted for it: only if it does so again within
// a few seconds.
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

// What a client has sent counts when its deadline comes, also where nobody has read
// it yet.
func TestDemotedClientsAreNotTimedOut(t *testing.T) {
	in := start(t, func(c *Config) {
		c.Shards = 1
		c.Heartbeat = HeartbeatConfig{Interval: time.Second, Timeout: 500 * time.Millisecond}
	}).ready()
	c := in.handshaken()
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil { // a ping
		t.Fatal(err)
	}
	var slot uint32
	in.onLoop(func(s *shard) bool {
		s.conns.each(func(i uint32, conn *conn) {
			if conn.kind == kindWebSocket {
				slot = i
			}
		})
		s.conns.at(slot).flags |= flagDemoted
		return s.watchOut(slot, s.conns.at(slot), false)
	})
	pong := wsframe.AppendMasked(nil, ws.OpPong, nil, [4]byte{1, 2, 3, 4})
	if _, err := c.Write(pong); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	in.onLoop(func(s *shard) bool {
		s.demoted.list = append(s.demoted.list, demotedClient{key: reactor.Key{Slot: slot, Gen: s.conns.at(slot).gen}})
		return true
	})
	if _, err := c.Write(pong); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil { // the next one
		t.Fatal(err)
	}
	if n := in.metric(`gateway_closes_total{reason="timeout"}`); n != 0 {
		t.Errorf("%v clients are closed", n)
	}
}

// Connections that wait in the kernel are accepted in each round of the loop, not
// once in all that clients have sent.
func TestWaitingConnectionsAreAccepted(t *testing.T) {
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	s := in.shards[0]
	const waiting = 3*acceptsPerSlice + 1
	blocked, let := make(chan struct{}), make(chan struct{})
	turns, more := 0, true
	before := 0
	s.post(func() {
		before = s.conns.used
		close(blocked)
		<-let
		for s.accept(); more; turns++ {
			more = s.Turn()
		}
	})
	<-blocked
	for range waiting {
		in.raw("")
	}
	close(let)
	used := 0
	in.onLoop(func(s *shard) bool { used = s.conns.used; return true })
	if used-before < waiting || turns > 10 {
		t.Errorf("%d of %d connections are accepted in %d turns", used-before, waiting, turns)
	}
}

// While hundreds of clients have sent requests, a new connection is accepted, and its
// request answered, before all of theirs are read.
func TestBusyLoopAccepts(t *testing.T) {
	in := start(t, func(c *Config) { withoutRates(c); c.Shards = 1 }).ready()
	s := in.shards[0]
	const clients = 300
	requests := strings.Repeat("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 100)
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = in.raw(requests[:len(requests)/100])
		if _, err := io.ReadFull(conns[i], make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	blocked, release, asked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	accepted, answered := make(chan uint64, 1), make(chan uint64, 1)
	s.post(func() {
		accepts, before := s.stats.accepts, s.stats.bytesIn
		close(blocked)
		<-release
		var look func()
		look = func() {
			if s.stats.accepts == accepts {
				s.post(look)
				return
			}
			accepted <- s.stats.bytesIn - before
			<-asked
			closes := s.stats.closes[CloseAnswered]
			look = func() {
				if s.stats.closes[CloseAnswered] == closes {
					s.post(look)
					return
				}
				answered <- s.stats.bytesIn - before
			}
			s.post(look)
		}
		s.post(look)
	})
	<-blocked
	for _, c := range conns {
		go io.Copy(io.Discard, c) // ends with the connection
		if _, err := io.WriteString(c, requests); err != nil {
			t.Fatal(err)
		}
	}
	late := in.raw("")
	close(release)
	all := clients * uint64(len(requests))
	if n := <-accepted; n > all/4 {
		t.Errorf("%d KiB of %d are read before the connection is accepted", n>>10, all>>10)
	}
	_, err := io.WriteString(late, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	close(asked)
	if err != nil {
		t.Fatal(err)
	}
	if n := <-answered; n > all/2 {
		t.Errorf("%d KiB of %d are read before its request is answered", n>>10, all>>10)
	}
}
