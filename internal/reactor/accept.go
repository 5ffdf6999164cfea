package reactor

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrDescriptors says that a connection was accepted and closed at once
// because the process or the system is out of file descriptors.
var ErrDescriptors = errors.New("out of file descriptors")

// Accept takes the next connection; its descriptor is non-blocking. It returns
// ErrAgain when none is waiting. When descriptors have run out it gives up the
// spare one to accept and close the connection, so that the listener doesn't
// stay readable for ever, and returns ErrDescriptors.
func (l *Listener) Accept() (fd int, peer netip.AddrPort, err error) {
	for {
		if l.spare < 0 && l.openSpare() != nil {
			return -1, netip.AddrPort{}, fmt.Errorf("%w: none to accept and close with", ErrDescriptors)
		}
		size := uint32(unix.SizeofSockaddrAny)
		descriptors.RLock()
		n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(l.fd), uintptr(unsafe.Pointer(&l.rsa)), uintptr(unsafe.Pointer(&size)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		descriptors.RUnlock()
		switch errno {
		case 0:
			return int(n), l.peer(), nil
		case unix.EAGAIN:
			return -1, netip.AddrPort{}, ErrAgain
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EMFILE, unix.ENFILE:
			return -1, netip.AddrPort{}, l.rejectNext(errno)
		}
		return -1, netip.AddrPort{}, fmt.Errorf("accept: %w", errno)
	}
}

// descriptors is held for writing while a listener does without its spare
// descriptor. The table of descriptors belongs to the whole process: another
// listener's accept would take the one that was given up, and this one couldn't
// reject its clients.
var descriptors sync.RWMutex

// rejectNext closes the connection at the head of the queue.
func (l *Listener) rejectNext(cause unix.Errno) error {
	descriptors.Lock()
	defer descriptors.Unlock()
	if l.spare >= 0 {
		unix.Close(l.spare)
		l.spare = -1
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			SetLinger0(fd)
			unix.Close(fd)
		}
		if l.openSpare() == nil && err == unix.EAGAIN {
			return ErrAgain // the kernel looks for a descriptor before it looks for a connection
		}
	}
	if l.spare < 0 {
		// Fails while others hold all descriptors; the next call tries again.
		l.openSpare()
	}
	return fmt.Errorf("%w: %w", ErrDescriptors, cause)
}

// peer returns the address that accept4 left in rsa.
func (l *Listener) peer() netip.AddrPort {
	switch l.rsa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(&l.rsa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), swap(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(&l.rsa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), swap(a.Port))
	}
	return netip.AddrPort{}
}

// swap turns a port in network order, as it lies in memory, into a number.
func swap(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}
