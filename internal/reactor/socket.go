package reactor

import (
	"errors"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrAgain says that a call would have had to wait.
var ErrAgain = errors.New("resource temporarily unavailable")

// Read reads the bytes that have arrived. It returns ErrAgain when there is nothing yet and
// io.EOF once the peer has closed its side.
//
// The calls on a connection's hot path enter the kernel without telling Go's
// scheduler: they can't block, and a send and its receive cost 1.6 us without
// the notice, 1.9 us with it (BenchmarkSend).
func Read(fd int, p []byte) (int, error) { return recv(fd, p, 0) }

// Peek is Read without consuming the data: the next Read returns it again.
func Peek(fd int, p []byte) (int, error) { return recv(fd, p, unix.MSG_PEEK) }

func recv(fd int, p []byte, flags uintptr) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, ErrAgain
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.EOF
		}
		return int(n), nil
	}
}

// sendFlags: no wait for room, and a peer that has gone is an error, not a
// signal.
const sendFlags = unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT

// Write hands p to the kernel and returns how much of it was taken, which may
// be less than all; ErrAgain when nothing was.
func Write(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			sendFlags, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		return sent(n, errno)
	}
}

// maxVec is how many buffers one Writev takes.
const maxVec = 64

// Writev is Write of several buffers in one call. It takes no more than the
// first 64 of them.
func Writev(fd int, bufs [][]byte) (int, error) {
	var vec [maxVec]unix.Iovec
	n := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if n == len(vec) {
			break
		}
		vec[n].Base = unsafe.SliceData(b)
		vec[n].SetLen(len(b))
		n++
	}
	if n == 0 {
		return 0, nil
	}
	msg := unix.Msghdr{Iov: &vec[0]}
	msg.SetIovlen(n)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), sendFlags)
		if errno == unix.EINTR {
			continue
		}
		return sent(n, errno)
	}
}

func sent(n uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN:
		return 0, ErrAgain
	}
	return 0, errno
}

// ShutdownWrite ends the stream towards the peer; its bytes can still be
// read.
func ShutdownWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// CloseFD closes a descriptor. The number may be given out again at once.
func CloseFD(fd int) error { return unix.Close(fd) }

// SetLinger0 makes the close of fd cut the connection with a reset, leaving
// nothing behind in the kernel.
func SetLinger0(fd int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// SocketError returns and clears the pending error of a socket: after a
// non-blocking connect, how it ended.
func SocketError(fd int) error {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if v != 0 {
		return unix.Errno(v)
	}
	return nil
}

// WriteLast hands the last bytes of a stream to the kernel and ends it. Bytes
// and end travel in one segment, which costs one way through the network stack
// in place of two. Bytes that the kernel doesn't take at once are lost, so p must be
// short and the connection fresh.
func WriteLast(fd int, p []byte) {
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			sendFlags|unix.MSG_MORE, 0, 0)
		if errno != unix.EINTR {
			break
		}
	}
	unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}
