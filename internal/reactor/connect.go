package reactor

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// PeerName returns the address of the other end; the zero value for a unix
// socket.
func PeerName(fd int) (netip.AddrPort, error) { return name(unix.Getpeername(fd)) }

// localName returns the address of this end; the zero value for a unix socket.
func localName(fd int) (netip.AddrPort, error) { return name(unix.Getsockname(fd)) }

func name(sa unix.Sockaddr, err error) (netip.AddrPort, error) {
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, nil
}

// sockaddr returns the kernel's form of a and its address family.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() || a.Addr().Is4In6() {
		return &unix.SockaddrInet4{Addr: a.Addr().Unmap().As4(), Port: int(a.Port())}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}, unix.AF_INET6
}

// DialOptions set a connecting socket's options; zero leaves the kernel's own.
type DialOptions struct {
	SendBuffer, ReceiveBuffer int // bytes
}

// Connect starts a connection from local, which may be the zero Addr, to
// remote. The descriptor becomes writable once the attempt has ended;
// SocketError then says how.
func Connect(local netip.Addr, remote netip.AddrPort, o DialOptions) (fd int, err error) {
	to, family := sockaddr(remote)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
			fd = -1
		}
	}()
	if err := setOptions(fd, []option{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1, "TCP_NODELAY"},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer, "SO_SNDBUF"},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer, "SO_RCVBUF"},
	}); err != nil {
		return fd, err
	}
	if local.IsValid() {
		// Without this the port is chosen at bind, before the kernel knows the
		// destination, and the pool of ports is shared by all destinations.
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fd, fmt.Errorf("IP_BIND_ADDRESS_NO_PORT: %w", err)
		}
		from, _ := sockaddr(netip.AddrPortFrom(local, 0))
		if err := unix.Bind(fd, from); err != nil {
			return fd, fmt.Errorf("bind %s: %w", local, err)
		}
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		return fd, fmt.Errorf("connect %s: %w", remote, err)
	}
	return fd, nil
}

// ConnectUnix is Connect to a unix socket. Its error wraps unix.EAGAIN where the
// listen queue is full.
func ConnectUnix(path string, o DialOptions) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = setOptions(fd, []option{
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer, "SO_SNDBUF"},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer, "SO_RCVBUF"},
	})
	if err == nil {
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			err = fmt.Errorf("connect %s: %w", path, err)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// option is one integer socket option; a value of 0 is left alone.
type option struct {
	level, name, value int
	text               string
}

func setOptions(fd int, options []option) error {
	for _, o := range options {
		if o.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.text, err)
		}
	}
	return nil
}
