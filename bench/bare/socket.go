package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// listener is a listening, non-blocking TCP socket.
type listener struct {
	fd   int
	addr net.Addr
}

// listenTCP binds a numeric address. TCP_NODELAY is inherited by the accepted
// sockets, so that they need no call of their own. The socket is a duplicate of
// that which Go's poller knows, which is closed.
func listenTCP(address string) (listener, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return listener{}, fmt.Errorf("listen on %q: %w", address, err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) })
		return errors.Join(err, set)
	}}
	config.SetMultipathTCP(false) // Go's default, which the gateway has not
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return listener{}, err
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return listener{}, err
	}
	own := listener{fd: -1, addr: l.Addr()}
	controlErr := raw.Control(func(fd uintptr) { own.fd, err = syscall.Dup(int(fd)) })
	return own, errors.Join(controlErr, err)
}
