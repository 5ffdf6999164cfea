package reactor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ListenOptions are set on the listening socket; accepted ones inherit them,
// so that no connection costs a setsockopt. Zero leaves the kernel's own.
type ListenOptions struct {
	Backlog       int
	SendBuffer    int           // SO_SNDBUF, bytes
	ReceiveBuffer int           // SO_RCVBUF, bytes
	UserTimeout   time.Duration // TCP_USER_TIMEOUT
	Mode          os.FileMode   // of a unix socket's file; write permission lets a process connect
}

// Listener is a non-blocking listening socket, for one goroutine.
type Listener struct {
	// Immutable
	fd      int
	addr    string
	path    string // of the unix socket that Close removes
	options ListenOptions

	// Owned by the goroutine that accepts
	spare int // kept open to be given up when descriptors run out
	rsa   unix.RawSockaddrAny
}

// Listen opens addr: host:port, [ip6]:port, :port for all addresses of both families, or
// unix:/path. A socket file without a listener is replaced.
func Listen(addr string, o ListenOptions) (*Listener, error) {
	l, err := listen(addr, o, false)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", addr, err)
	}
	return l, nil
}

// listen opens addr; shared says that it's one of this process' own.
func listen(addr string, o ListenOptions, shared bool) (*Listener, error) {
	var (
		sa     unix.Sockaddr
		family int
	)
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if isUnix {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		sa, family = &unix.SockaddrUnix{Name: path}, unix.AF_UNIX
	} else {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return nil, err
		}
		ap := tcp.AddrPort()
		if !ap.Addr().IsValid() {
			ap = netip.AddrPortFrom(netip.IPv6Unspecified(), ap.Port())
		}
		sa, family = sockaddr(ap)
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT && family == unix.AF_INET6 && strings.HasPrefix(addr, ":") {
		in6 := sa.(*unix.SockaddrInet6)
		sa, family = &unix.SockaddrInet4{Port: in6.Port}, unix.AF_INET
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l := &Listener{fd: fd, spare: -1, options: o}
	if isUnix {
		l.path = path
	}
	if err := l.open(sa, family, shared); err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.addr = addr
	if !isUnix {
		ap, err := localName(fd)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.addr = ap.String()
	}
	return l, nil
}

// open binds the socket, sets the inherited options and starts to listen.
func (l *Listener) open(sa unix.Sockaddr, family int, shared bool) error {
	o := l.options
	options := []option{
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer, "SO_SNDBUF"},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer, "SO_RCVBUF"},
	}
	if family != unix.AF_UNIX {
		if !shared {
			if err := refuseTaken(sa); err != nil {
				return err
			}
		}
		options = append(options,
			option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, "SO_REUSEADDR"},
			option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT"},
			option{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, "TCP_NODELAY"},
			option{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.UserTimeout.Milliseconds()), "TCP_USER_TIMEOUT"},
		)
	}
	if err := setOptions(l.fd, options); err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return fmt.Errorf("IPV6_V6ONLY: %w", err)
		}
	}
	if err := unix.Bind(l.fd, sa); err != nil {
		return err
	}
	// No client can connect before listen, so the umask's mode opens nothing.
	if l.path != "" && o.Mode != 0 {
		if err := os.Chmod(l.path, o.Mode); err != nil {
			return err
		}
	}
	backlog := o.Backlog
	if backlog == 0 {
		backlog = unix.SOMAXCONN
	}
	if err := unix.Listen(l.fd, backlog); err != nil {
		return err
	}
	return l.openSpare()
}

// refuseTaken fails where a socket already listens on sa. SO_REUSEPORT would
// let a second process of the same user take half of the first one's
// connections in silence.
func refuseTaken(sa unix.Sockaddr) error {
	family := unix.AF_INET6
	if _, ok := sa.(*unix.SockaddrInet4); ok {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	return unix.Bind(fd, sa)
}

func (l *Listener) openSpare() (err error) {
	l.spare, err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

// removeStale deletes a socket file without a listener.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return unix.EADDRINUSE
	case errors.Is(err, unix.EAGAIN): // the listener's queue of connections is full
		return unix.EADDRINUSE
	case !errors.Is(err, unix.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

// FD returns the descriptor to register with a loop.
func (l *Listener) FD() int { return l.fd }

// Addr returns the bound address in the form that Listen takes.
func (l *Listener) Addr() string { return l.addr }

// Share returns another socket on the address of l, with the same options, for
// another loop: the kernel spreads new connections over them.
func (l *Listener) Share() (*Listener, error) {
	if l.path != "" {
		return l.dup()
	}
	return listen(l.addr, l.options, true)
}

// dup returns a second listener on the same socket: SO_REUSEPORT doesn't spread
// a unix socket's connections.
func (l *Listener) dup() (*Listener, error) {
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("dup: %w", err)
	}
	d := &Listener{fd: fd, addr: l.addr, options: l.options}
	if err := d.openSpare(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return d, nil
}

// Close stops listening. Connections that the kernel completed and that were not accepted are
// reset: accept until ErrAgain first.
func (l *Listener) Close() error {
	if l.spare >= 0 {
		unix.Close(l.spare)
		l.spare = -1
	}
	err := unix.Close(l.fd)
	if l.path != "" {
		os.Remove(l.path)
	}
	return err
}
