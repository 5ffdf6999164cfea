package walls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
)

// showPorts opens connections until the source ports are used up: to one
// listener, to two, and from more addresses.
func showPorts(_ []string, out io.Writer) error {
	if err := raiseLoopback(); err != nil {
		return err
	}
	const first, last = 20000, 20099
	if err := setSysctl("net.ipv4.ip_local_port_range", fmt.Sprintf("%d %d", first, last)); err != nil {
		return err
	}
	fmt.Fprintf(out, "net.ipv4.ip_local_port_range = %d %d: %d ports\n\n", first, last, last-first+1)
	// Nobody accepts: the listen queues have room for all.
	servers := []string{"127.0.0.1:9001", "127.0.0.1:9002"} // outside the range
	for _, addr := range servers {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		defer l.Close()
	}
	addresses := func(n int) []netip.Addr {
		var out []netip.Addr
		for a := netip.MustParseAddr("127.0.0.2"); len(out) < n; a = a.Next() {
			out = append(out, a)
		}
		return out
	}
	t := newTable(out, "source addresses", "targets", "bound how", "connections", "then")
	for _, c := range []struct {
		sources, targets int
		late             bool // IP_BIND_ADDRESS_NO_PORT
	}{{1, 1, true}, {1, 2, true}, {1, 2, false}, {5, 1, true}} {
		n, err := exhaust(addresses(c.sources), servers[:c.targets], c.late)
		if !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("after %d connections: %w", n, err)
		}
		how := "port chosen by bind"
		if c.late {
			how = "port chosen by connect"
		}
		var errno syscall.Errno
		errors.As(err, &errno)
		t.row(c.sources, c.targets, how, n, errno.Error())
	}
	return t.Flush()
}

// exhaust opens connections until no source has a port for any target, and
// closes them.
func exhaust(sources []netip.Addr, targets []string, late bool) (n int, err error) {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			// A reset leaves no TIME_WAIT, whose ports the next one would miss.
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	// IP_BIND_ADDRESS_NO_PORT leaves the choice of the port to connect, where the
	// target is known: a port is then free again for each target.
	const ipBindAddressNoPort = 24
	var value int
	if late {
		value = 1
	}
	for _, source := range sources {
		d := net.Dialer{
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)),
			Control:   socketOption(syscall.IPPROTO_IP, ipBindAddressNoPort, value),
		}
		for _, target := range targets {
			for {
				var c net.Conn
				if c, err = d.DialContext(context.Background(), "tcp", target); err != nil {
					break
				}
				open = append(open, c)
				if len(open) > 10_000 {
					return len(open), errors.New("there is no end to the ports")
				}
			}
		}
	}
	return len(open), err
}
