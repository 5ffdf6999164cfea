package walls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// showBuffers writes to clients that never read until the kernel takes no more.
func showBuffers(_ []string, out io.Writer) error {
	if err := raiseLoopback(); err != nil {
		return err
	}
	t := newTable(out, "server's send buffer", "client's receive buffer", "bytes taken", "kernel memory at the server", "for 10,000 such clients")
	for _, c := range []struct{ send, receive int }{{0, 0}, {256 << 10, 0}, {64 << 10, 0}, {16 << 10, 0}, {0, 4 << 10}, {16 << 10, 4 << 10}} {
		taken, held, err := fill(c.send, c.receive)
		if err != nil {
			return err
		}
		t.row(size(c.send), size(c.receive), fmt.Sprintf("%d KiB", taken>>10), fmt.Sprintf("%d KiB", held>>10), fmt.Sprintf("%.1f GB", float64(held)*10_000/1e9))
	}
	return t.Flush()
}

// size names a buffer size; 0 is the kernel's own choice.
func size(n int) string {
	if n == 0 {
		return "kernel's own"
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// pair returns both ends of a connection, with SO_SNDBUF at the server's and
// SO_RCVBUF at the client's; 0 leaves them alone.
func pair(send, receive int) (server, client net.Conn, err error) {
	listen := net.ListenConfig{Control: socketOption(syscall.SOL_SOCKET, syscall.SO_SNDBUF, send)}
	l, err := listen.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	dial := net.Dialer{Control: socketOption(syscall.SOL_SOCKET, syscall.SO_RCVBUF, receive)}
	if client, err = dial.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if server, err = l.Accept(); err != nil {
		client.Close()
		return nil, nil, err
	}
	return server, client, nil
}

// fill returns how much can be written to a client that reads nothing, and the
// kernel's memory for the part of it that waits in the server's socket.
func fill(send, receive int) (taken int64, held int, err error) {
	server, client, err := pair(send, receive)
	if err != nil {
		return 0, 0, err
	}
	defer server.Close()
	defer client.Close()
	block := make([]byte, 4<<10)
	for !errors.Is(err, os.ErrDeadlineExceeded) {
		if err != nil {
			return 0, 0, err
		}
		var n int
		server.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		n, err = server.Write(block)
		taken += int64(n)
	}
	held, err = queued(server.(*net.TCPConn))
	return taken, held, err
}

// queued returns the memory of a socket's send queue, buffers' overhead
// included.
func queued(c *net.TCPConn) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	const (
		soMemInfo  = 55
		wmemQueued = 5
	)
	var info [9]uint32 // SK_MEMINFO_VARS
	size := uint32(unsafe.Sizeof(info))
	raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, soMemInfo,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			err = fmt.Errorf("SO_MEMINFO: %w", errno)
		}
	})
	return int(info[wmemQueued]), err
}
