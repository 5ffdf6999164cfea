package reactor

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func listenOn(t *testing.T, addr string, o ListenOptions) *Listener {
	t.Helper()
	l, err := Listen(addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// acceptOne waits for a connection.
func acceptOne(t *testing.T, l *Listener) (int, netip.AddrPort) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		fd, peer, err := l.Accept()
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
			return fd, peer
		}
		if err != ErrAgain {
			t.Fatal(err)
		}
		poll := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}
		unix.Poll(poll, 1000)
	}
	t.Fatal("no connection")
	panic("unreachable")
}

// A unix socket has the requested mode, whatever the umask; without one, the umask's.
func TestListenMode(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	for mode, want := range map[os.FileMode]os.FileMode{0: 0o700, 0o666: 0o666, 0o660: 0o660} {
		path := filepath.Join(t.TempDir(), "s")
		listenOn(t, "unix:"+path, ListenOptions{Mode: mode})
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("asked for %v, got %v, want %v", mode, got, want)
		}
	}
}

func TestAccept(t *testing.T) {
	for name, addr := range map[string]string{
		"ipv4": "127.0.0.1:0",
		"ipv6": "[::1]:0",
		"unix": "unix:" + filepath.Join(t.TempDir(), "s"),
	} {
		t.Run(name, func(t *testing.T) {
			l := listenOn(t, addr, ListenOptions{})
			if _, _, err := l.Accept(); err != ErrAgain {
				t.Fatalf("Accept on an idle listener: %v", err)
			}
			network, target := "tcp", l.Addr()
			if name == "unix" {
				network, target = "unix", addr[len("unix:"):]
			}
			c, err := net.Dial(network, target)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fd, peer := acceptOne(t, l)
			if network == "tcp" && peer.String() != c.LocalAddr().String() {
				t.Errorf("peer %v, want %v", peer, c.LocalAddr())
			}
			if name, err := PeerName(fd); err != nil || name != peer {
				t.Errorf("PeerName %v, %v", name, err)
			}
			if n, err := Read(fd, make([]byte, 1)); n != 0 || err != ErrAgain {
				t.Errorf("the socket blocks or has bytes: %d, %v", n, err)
			}
			c.Close()
			pollIn(t, fd)
			if _, err := Read(fd, make([]byte, 1)); err != io.EOF {
				t.Errorf("after the peer's close: %v", err)
			}
		})
	}
}

func pollIn(t *testing.T, fd int) {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 10_000); n != 1 {
		t.Fatalf("not readable: %v", err)
	}
}

func TestOptionsAreInherited(t *testing.T) {
	l := listenOn(t, "127.0.0.1:0", ListenOptions{SendBuffer: 16 << 10, ReceiveBuffer: 8 << 10, UserTimeout: 7 * time.Second})
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fd, _ := acceptOne(t, l)
	for name, o := range map[string]struct{ level, opt, want int }{
		"TCP_NODELAY":      {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 7000},
		"SO_SNDBUF":        {unix.SOL_SOCKET, unix.SO_SNDBUF, 32 << 10}, // the kernel doubles the request
		"SO_RCVBUF":        {unix.SOL_SOCKET, unix.SO_RCVBUF, 16 << 10},
	} {
		if got, err := unix.GetsockoptInt(fd, o.level, o.opt); err != nil || got != o.want {
			t.Errorf("%s is %d, want %d (%v)", name, got, o.want, err)
		}
	}
}

func TestListenRefusesATakenPort(t *testing.T) {
	l := listenOn(t, "127.0.0.1:0", ListenOptions{})
	if second, err := Listen(l.Addr(), ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		if err == nil {
			second.Close()
		}
		t.Errorf("a second listener on %s: %v", l.Addr(), err)
	}
	shared, err := l.Share()
	if err != nil {
		t.Fatalf("Share: %v", err)
	}
	defer shared.Close()
	if shared.Addr() != l.Addr() {
		t.Errorf("shared address %s, want %s", shared.Addr(), l.Addr())
	}
}

func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix:"+path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:"+path, ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second listener: %v", err)
	}
	unix.Close(l.FD()) // as after a kill: the file stays
	again, err := Listen("unix:"+path, ListenOptions{})
	if err != nil {
		t.Fatalf("a stale socket file is in the way: %v", err)
	}
	again.Close()
	unix.Close(l.spare)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file outlives Close: %v", err)
	}
	os.WriteFile(path, []byte("precious"), 0o600)
	if _, err := Listen("unix:"+path, ListenOptions{}); err == nil {
		t.Error("a file that is no socket was taken")
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("a file that is no socket was removed")
	}
}

// A listener that is too busy to take one more connection is not a dead one.
func TestUnixSocketFileOfABusyListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listenOn(t, "unix:"+path, ListenOptions{Backlog: 1})
	var err error
	for n := 0; err == nil && n < 100; n++ {
		var c net.Conn
		if c, err = net.Dial("unix", path); err == nil {
			defer c.Close()
		}
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("the queue is not full: %v", err)
	}
	if _, err := Listen("unix:"+path, ListenOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second listener: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("its file: %v", err)
	}
}

func TestOutOfDescriptors(t *testing.T) {
	l := listenOn(t, "127.0.0.1:0", ListenOptions{})
	var clients []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	fill := exhaustDescriptors(t)
	for range clients {
		if _, _, err := l.Accept(); !errors.Is(err, ErrDescriptors) || !errors.Is(err, unix.EMFILE) {
			t.Errorf("Accept without descriptors: %v", err)
		}
	}
	if _, _, err := l.Accept(); err != ErrAgain && !errors.Is(err, ErrDescriptors) {
		t.Errorf("the listener stays readable: %v", err)
	}
	fill()
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the client hangs: %v", err)
		}
	}
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	acceptOne(t, l)
}

// exhaustDescriptors takes all descriptors of the process; the function that
// it returns gives them back.
func exhaustDescriptors(t *testing.T) func() {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: 128, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var held []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	return func() {
		for _, fd := range held {
			unix.Close(fd)
		}
		unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	}
}

func TestConnect(t *testing.T) {
	l := listenOn(t, "127.0.0.1:0", ListenOptions{})
	local := netip.MustParseAddr("127.0.0.7")
	fd, err := Connect(local, netip.MustParseAddrPort(l.Addr()), DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_, peer := acceptOne(t, l)
	if peer.Addr() != local {
		t.Errorf("connected from %v, want %v", peer, local)
	}
	if err := SocketError(fd); err != nil {
		t.Error(err)
	}
	if name, err := localName(fd); err != nil || name != peer {
		t.Errorf("localName %v, want %v (%v)", name, peer, err)
	}
	l.Close()
	refused, err := Connect(netip.Addr{}, netip.MustParseAddrPort(l.Addr()), DialOptions{})
	if err == nil {
		defer unix.Close(refused)
		poll := []unix.PollFd{{Fd: int32(refused), Events: unix.POLLOUT}}
		unix.Poll(poll, 10_000)
		err = SocketError(refused)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("connect to a closed port: %v", err)
	}
}
