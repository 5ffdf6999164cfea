package main

import (
	"fmt"
	"net/netip"
	"syscall"
)

// listener is a listening, non-blocking TCP socket.
type listener struct {
	fd   int
	addr netip.AddrPort
}

// listenTCP binds a numeric address. TCP_NODELAY is inherited by the accepted
// sockets, so that they need no call of their own.
func listenTCP(address string) (listener, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return listener{}, fmt.Errorf("listen on %q: %w", address, err)
	}
	family := syscall.AF_INET6
	var name syscall.Sockaddr = &syscall.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	if addr.Addr().Is4() {
		family = syscall.AF_INET
		name = &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return listener{}, fmt.Errorf("listen on %s: %w", addr, err)
	}
	for _, step := range []func() error{
		func() error { return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) },
		func() error { return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) },
		func() error { return syscall.Bind(fd, name) },
		func() error { return syscall.Listen(fd, 65535) },
	} {
		if err := step(); err != nil {
			syscall.Close(fd)
			return listener{}, fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		syscall.Close(fd)
		return listener{}, fmt.Errorf("read the bound address of %s: %w", addr, err)
	}
	port := addr.Port()
	switch b := bound.(type) {
	case *syscall.SockaddrInet4:
		port = uint16(b.Port)
	case *syscall.SockaddrInet6:
		port = uint16(b.Port)
	}
	return listener{fd: fd, addr: netip.AddrPortFrom(addr.Addr(), port)}, nil
}
