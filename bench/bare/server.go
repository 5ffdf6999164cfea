package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// role is the meaning of a descriptor's bytes.
type role uint8

const (
	roleNone    role = iota // not in use
	roleHead                // a client before its handshake
	roleFrames              // a client after it
	roleCommand             // standard input
)

// conn is the state of one descriptor.
type conn struct {
	role    role
	pending []byte // an incomplete head, frame or command
}

// server is the loop and all that it owns; nothing else runs.
type server struct {
	epoll    int
	listener int
	addr     net.Addr

	conns []conn // by descriptor
	stats Stats
	buf   [64 << 10]byte // of one read
}

func newServer(listen string) (*server, error) {
	s := &server{conns: []conn{{role: roleCommand}}} // descriptor 0
	var err error
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if s.listener, s.addr, err = listenTCP(listen); err != nil {
		return nil, err
	}
	return s, errors.Join(s.watch(s.listener), s.watch(syscall.Stdin))
}

// serve runs the loop until there are no more commands.
func (s *server) serve() error {
	var events [256]syscall.EpollEvent
	for s.conns[syscall.Stdin].role == roleCommand {
		n, err := syscall.EpollWait(s.epoll, events[:], -1)
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("wait for events: %w", err)
		}
		for i := range max(n, 0) {
			if fd := int(events[i].Fd); fd != s.listener {
				s.read(fd)
			} else if err := s.accept(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *server) watch(fd int) error {
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("add to epoll: %w", err)
	}
	return nil
}

// accept takes the waiting connections, a few dozen at most: the rest shows up in the next
// turn. A limit of the process or the kernel ends the run, which would measure
// something else.
func (s *server) accept() error {
	for range 64 {
		fd, _, err := syscall.Accept4(s.listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch {
		case err == syscall.EAGAIN:
			return nil
		case err == syscall.EINTR || err == syscall.ECONNABORTED:
			continue
		case err != nil:
			return fmt.Errorf("accept with %d connections: %w", s.stats.Connections, err)
		}
		if fd >= len(s.conns) {
			s.conns = append(s.conns, make([]conn, fd+1-len(s.conns))...)
		}
		s.conns[fd] = conn{role: roleHead}
		if err := s.watch(fd); err != nil {
			return err
		}
	}
	return nil
}

// read hands the bytes left over and those that came to the reader of the
// descriptor's role. A command of the same batch of events may have closed the
// descriptor.
func (s *server) read(fd int) {
	if s.conns[fd].role == roleNone {
		return
	}
	n, err := syscall.Read(fd, s.buf[:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if err != nil || n == 0 {
		s.close(fd)
		return
	}
	c := &s.conns[fd]
	in := s.buf[:n]
	if len(c.pending) > 0 {
		c.pending = append(c.pending, in...)
		in = c.pending
	}
	used, err := 0, error(nil)
	switch c.role {
	case roleHead:
		used, err = s.readHead(fd, in)
	case roleFrames:
		used, err = s.readFrames(in)
	case roleCommand:
		used = s.readCommands(in)
	}
	left := in[used:]
	switch {
	case err != nil || len(left) > len(s.buf):
		s.close(fd)
	case len(left) == 0:
		c.pending = nil
	default:
		c.pending = append([]byte(nil), left...)
	}
}

// write writes to a client and reports whether all of it was taken.
func (s *server) write(fd int, p []byte) bool {
	n, err := syscall.Write(fd, p)
	switch {
	case n == len(p):
		return true
	case errors.Is(err, syscall.EAGAIN):
		s.stats.Refused++
	default:
		s.close(fd)
	}
	return false
}

// close ends a connection, once.
func (s *server) close(fd int) {
	switch s.conns[fd].role {
	case roleNone:
		return
	case roleFrames:
		s.stats.Connections--
		s.stats.Closed++
	}
	s.conns[fd] = conn{}
	syscall.Close(fd)
}

// listenTCP binds a numeric address. TCP_NODELAY is inherited by the accepted
// sockets, so that they need no call of their own. The socket is a duplicate of
// that which Go's poller knows, which is closed.
func listenTCP(address string) (own int, addr net.Addr, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return 0, nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) })
		return errors.Join(err, set)
	}}
	config.SetMultipathTCP(false) // Go's default, which the gateway has not
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return 0, nil, err
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	controlErr := raw.Control(func(fd uintptr) { own, err = syscall.Dup(int(fd)) })
	return own, l.Addr(), errors.Join(controlErr, err)
}
