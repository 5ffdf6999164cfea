package loopback

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// both returns what Reserve sets aside.
func both(t *testing.T) (addrs []string) {
	t.Helper()
	addr, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	addrs = []string{addr}
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return addrs // there is no IPv6
	}
	ln.Close()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return append(addrs, net.JoinHostPort("::1", port))
}

// An address that is set aside can be listened on, again and again, and is
// refused in between.
func TestReservedIsForServers(t *testing.T) {
	for _, addr := range both(t) {
		t.Run(addr, func(t *testing.T) { serve(t, addr) })
	}
}

func serve(t *testing.T, addr string) {
	for range 3 {
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody listens: %v", err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
}

// ipLocalPortRange is IP_LOCAL_PORT_RANGE of ip(7), which Linux has since 6.3.
const ipLocalPortRange = 51

// Connections and servers that ask for any port don't get the one that is set
// aside, though it is the only one that they could have.
func TestReservedIsGivenToNobody(t *testing.T) {
	for _, addr := range both(t) {
		t.Run(addr, func(t *testing.T) { ask(t, netip.MustParseAddrPort(addr)) })
	}
}

// ask tries to get at as any port.
func ask(t *testing.T, at netip.AddrPort) {
	any := netip.AddrPortFrom(at.Addr(), 0).String()
	far, err := net.Listen("tcp", any)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	var refused error
	only := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipLocalPortRange, int(at.Port())<<16|int(at.Port()))
		})
	}
	d := net.Dialer{Control: only}
	if c, err := d.Dial("tcp", far.Addr().String()); refused != nil {
		t.Skipf("this kernel has no IP_LOCAL_PORT_RANGE: %v", refused)
	} else if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("a connection: %v, %v", c, err)
	}
	listen := net.ListenConfig{Control: only}
	if l, err := listen.Listen(t.Context(), "tcp", any); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a server: %v, %v", l, err)
	}
}
