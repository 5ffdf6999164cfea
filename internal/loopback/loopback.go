// Package loopback reserves loopback addresses for servers that need a fixed one.
package loopback

import (
	"fmt"
	"os"
	"syscall"
)

// Reserve returns an address, "127.0.0.1:PORT", that is set aside until this process ends: the
// kernel gives it to no socket that asks for any port, neither a server's nor the near end of a
// connection. Nobody listens on it, and a server that sets SO_REUSEADDR, as nearly all do, can,
// in this process or another, as often as it is started.
//
// A socket that is bound and never listens keeps it so.
func Reserve() (addr string, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return "", os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", os.NewSyscallError("bind", err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port), nil
}
