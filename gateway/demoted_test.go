package gateway_test

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

	"github.com/pushgate/pushgate/gateway"
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
	raw, err := tcp(c).SyscallConn()
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

// The responses to one read go out in one write, or few.
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

// A client that sends little has its turn before busy clients, however many they are.
func TestCostlyClientsHaveTheirTurnLast(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		withoutRates(c)
		c.Shards = 1
	}).ready()
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
	ping := wsframe.AppendMasked(nil, ws.OpPing, nil, [4]byte{1, 2, 3, 4})
	var meanwhile []uint64 // bytes read from others for each ping
	for range 50 {
		demoted, sent, taken := make(chan struct{}), make(chan struct{}), make(chan uint64, 1)
		in.EachTurn(func(l gateway.Loop) bool {
			if l.Demoted() < clients*9/10 {
				return true // the clients don't send as fast as the loop reads
			}
			close(demoted)
			<-sent
			before := l.Counted().BytesIn
			in.EachTurn(func(l gateway.Loop) bool {
				if l.Unread() {
					return true
				}
				taken <- l.Counted().BytesIn - before
				return false
			})
			return false
		})
		select {
		case <-demoted:
		case <-time.After(patience):
			t.Fatal("the loop is never busy with clients that send much")
		}
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
	if median := meanwhile[len(meanwhile)/2]; median > clients/4*gateway.ReadRequests {
		t.Errorf("%d KiB of others are read before a ping is, of %d clients with %d KiB each", median>>10, clients, gateway.ReadRequests>>10)
	}
}

// While hundreds of clients have sent requests, a new connection is accepted, and gets its
// response, before all of theirs are read.
func TestBusyLoopAccepts(t *testing.T) {
	gateway.InTheClear(t, gateway.HeldLoops)
	in := start(t, func(c *gateway.Config) { withoutRates(c); c.Shards = 1 }).ready()
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
	in.Post(func(l gateway.Loop) {
		before := l.Counted()
		close(blocked)
		<-release
		in.EachTurn(func(l gateway.Loop) bool {
			n := l.Counted()
			if n.Accepts == before.Accepts {
				return true
			}
			accepted <- n.BytesIn - before.BytesIn
			<-asked
			in.EachTurn(func(l gateway.Loop) bool {
				if n := l.Counted(); n.Answered > before.Answered {
					answered <- n.BytesIn - before.BytesIn
					return false
				}
				return true
			})
			return false
		})
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
