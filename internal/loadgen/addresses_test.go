package loadgen

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// listenOn has the scripted server listen elsewhere, and returns its port.
func (s *scripted) listenOn(t *testing.T, addr string) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	s.Listener.Close()
	s.Listener = ln
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// localhost is 127.0.0.1 and ::1: clients spread over those that take
// connections, also from other processes.
func TestLocalhost(t *testing.T) {
	needIPv6(t)
	tests := map[string]struct {
		listen string
		want   []uint64 // clients at each address, where there are several
	}{
		"IPv4": {"127.0.0.1:0", nil},
		"IPv6": {"[::1]:0", nil},
		"both": {":0", []uint64{10, 10}},
	}
	for name, tt := range tests {
		for _, agents := range []int{0, 2} {
			s := newScripted()
			port := s.listenOn(t, tt.listen)
			c := s.start(t, 20, 10)
			c.URL, c.Agents, c.Timeout = "ws://localhost:"+port, agents, time.Minute
			r := mustFanout(t, s, c)
			var got []uint64
			for _, a := range r.Addresses {
				got = append(got, a.Clients)
			}
			if !r.Good() || r.Counters.Clients != 20 || !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d agents: %+v, addresses %+v, failed %q", name, agents, r.Counters, r.Addresses, r.Failed)
			}
			if r.Server == nil || r.Server.PID != os.Getpid() {
				t.Errorf("%s: the server is %+v", name, r.Server)
			}
		}
	}
}

func needIPv6(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	ln.Close()
}

// The source addresses are those of the target's family, and --src chooses the
// family where the name has both.
func TestSourceFamily(t *testing.T) {
	needIPv6(t)
	tests := map[string]struct{ sources, want string }{
		"IPv4":     {"127.0.0.5-127.0.0.6", "127.0.0.1:8080"},
		"IPv6":     {"::1", "[::1]:8080"},
		"both":     {"127.0.0.5,::1", "127.0.0.1:8080, [::1]:8080"},
		"a choice": {"", "127.0.0.1:8080, [::1]:8080"},
	}
	for name, tt := range tests {
		c := DefaultConfig()
		c.URL, c.Sources = "ws://localhost:8080", tt.sources
		p, err := newPlan(t.Context(), c, testLimits)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.target.String(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		for client := range uint32(8) {
			if from, to := p.ends(client); from.IsValid() && from.Is4() != to.Addr().Is4() {
				t.Errorf("%s: from %v to %v", name, from, to)
			}
		}
	}
}

// Every address is reached from every source: turns of the one must not fall
// together with turns of the other.
func TestEndsSpread(t *testing.T) {
	c := DefaultConfig()
	c.Sources = "127.0.0.2-127.0.0.5"
	p, err := newPlan(t.Context(), c, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	first := p.target.Addrs[0]
	second := first
	p.target.Addrs = append(p.target.Addrs, second)
	seen := make(map[[2]any]int)
	for client := range uint32(80) {
		from, _ := p.ends(client)
		seen[[2]any{from, p.addressOf(client)}]++
	}
	if len(seen) != 8 {
		t.Errorf("%d pairs of 8: %v", len(seen), seen)
	}
}

// A unix socket is a target as any other, and one whose listen queue is full is
// tried again, as TCP does by itself.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.sock")
	for _, url := range []string{"unix:" + path, "ws+unix:" + path + ":/v1/ws"} {
		s := newScripted()
		s.Listener.Close()
		s.Listener = listenNarrow(t, path)
		c := s.start(t, 60, 10)
		c.URL, c.InFlight, c.Timeout = url, 60, time.Minute
		r := mustFanout(t, s, c)
		if !r.Good() || r.Counters.Clients != 60 || r.Counters.Attempted != 60 {
			t.Errorf("%+v, failed %q", r.Counters, r.Failed)
		}
		if r.Server == nil || r.Server.PID != os.Getpid() {
			t.Errorf("the server is %+v", r.Server)
		}
		os.Remove(path)
	}
}

// listenNarrow listens on a unix socket with the shortest queue.
func listenNarrow(t *testing.T, path string) net.Listener {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	ln, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
