// Package loopback reserves loopback addresses for servers that need a fixed one.
package loopback

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Reserve returns an address, "127.0.0.1:PORT", that is set aside until this process ends: the
// kernel gives it to no socket that asks for any port, neither a server's nor the near end of a
// connection. Nobody listens on it, and a server that sets SO_REUSEADDR, as nearly all do, can,
// in this process or another, as often as it is started. The same holds for "[::1]:PORT", where
// there is IPv6.
//
// Sockets that are bound and never listen keep it so.
func Reserve() (addr string, err error) {
	for range attempts {
		port, err := hold(&syscall.SockaddrInet4{Addr: localhost4})
		if err != nil {
			return "", err
		}
		switch _, err := hold(&syscall.SockaddrInet6{Port: port, Addr: localhost6}); {
		case err == nil, errors.Is(err, syscall.EAFNOSUPPORT), errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Sprintf("127.0.0.1:%d", port), nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", err
		}
	}
	return "", fmt.Errorf("no port in %d is free at 127.0.0.1 and at ::1", attempts)
}

// attempts is how many ports are tried. One that is taken at ::1 stays reserved at 127.0.0.1.
const attempts = 20

var (
	localhost4 = [4]byte{127, 0, 0, 1}
	localhost6 = [16]byte{15: 1}
)

// hold binds a socket to an address and returns the port.
func hold(at syscall.Sockaddr) (port int, err error) {
	family := syscall.AF_INET
	if _, ok := at.(*syscall.SockaddrInet6); ok {
		family = syscall.AF_INET6
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, at); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	if six, ok := bound.(*syscall.SockaddrInet6); ok {
		return six.Port, nil
	}
	return bound.(*syscall.SockaddrInet4).Port, nil
}
