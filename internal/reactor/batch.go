package reactor

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BatchSize is how many sends go into the kernel with one call. Here a send of
// 128 B takes 3.4 us of CPU by itself, 2.7 with one other, 1.7 in a batch of 8,
// 1.5 in one of 16 and 1.4 in one of 64 (BenchmarkBatch).
const BatchSize = 64

// Batch is Write for many sockets with one call into the kernel, by io_uring.
// It is for one goroutine.
//
// The kernel carries the sends out one after the other within the call, and
// reports only sends that it didn't take whole. That rests on MSG_WAITALL: without
// it a send that is cut short is a success, and not reported. MSG_DONTWAIT keeps it
// from waiting all the same. Kernels
// differ in how they report a send that is cut short, so NewBatch tries one.
type Batch struct {
	ring *ring
	bufs [BatchSize][]byte // kept alive for the kernel
	fds  [BatchSize]int32
	n    int

	short  [BatchSize]Short
	shorts int
}

// Short is a send that the kernel didn't take whole.
type Short struct {
	Index int   // of the Add since the last Submit, from 0
	N     int   // bytes that were taken
	Err   error // nil or ErrAgain: the buffer is full; else the socket is broken
}

// NewBatch returns an error where the kernel, or the confinement of the process,
// doesn't offer the needs of a Batch: Linux 5.18, and io_uring allowed.
func NewBatch() (*Batch, error) {
	r, err := newRing(BatchSize)
	if err != nil {
		return nil, err
	}
	b := &Batch{ring: r}
	if err := b.try(); err != nil {
		b.Close()
		return nil, fmt.Errorf("this kernel's io_uring can't be used: %w", err)
	}
	return b, nil
}

// Full reports whether a Submit is due before the next Add.
func (b *Batch) Full() bool { return b.n == BatchSize }

// Add notes that p is to be sent to fd, and returns its index. p must not
// change until Submit, and fd get no other bytes: after a send that is cut
// short they would land in the middle.
func (b *Batch) Add(fd int, p []byte) (index int) {
	*b.ring.next(b.n) = ringSend{
		op: ringOpSend, flags: ringSkipSuccess, fd: int32(fd),
		addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), length: uint32(len(p)),
		msgFlags: sendFlags | unix.MSG_WAITALL, user: uint64(b.n),
	}
	b.bufs[b.n], b.fds[b.n] = p, int32(fd)
	b.n++
	return b.n - 1
}

// Submit sends all that was added and returns the sends with a rest,
// valid until the next call.
func (b *Batch) Submit() []Short {
	if b.n == 0 {
		return nil
	}
	b.shorts = 0
	taken := 0
	if b.n > 1 { // alone a send is cheaper by itself
		taken = b.ring.enter(b.n)
		b.ring.reap(b.note)
	}
	// A part of a batch is left where the kernel is out of memory.
	for i := taken; i < b.n; i++ {
		if n, err := Write(int(b.fds[i]), b.bufs[i]); n < len(b.bufs[i]) {
			b.add(Short{i, n, err})
		}
	}
	clear(b.bufs[:b.n])
	b.n = 0
	return b.short[:b.shorts]
}

// note records the kernel's completion of a send.
func (b *Batch) note(user uint64, res int32) {
	s := Short{Index: int(user), N: int(max(res, 0))}
	switch errno := unix.Errno(-res); {
	case res >= 0:
		if s.N == len(b.bufs[user]) {
			return
		}
	case errno == unix.EAGAIN || errno == unix.EINTR:
		s.Err = ErrAgain
	default:
		s.Err = errno
	}
	b.add(s)
}

func (b *Batch) add(s Short) {
	b.short[b.shorts] = s
	b.shorts++
}

// Close frees the ring. Sends that were not submitted are dropped.
func (b *Batch) Close() { b.ring.close() }

// try has sends succeed, be cut short and fail, and checks the kernel's
// completion of each.
func (b *Batch) try() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil {
		return err
	}
	sent := make([]byte, 64<<10) // more than the least of buffers
	b.Add(fds[0], sent[:1])
	b.Add(fds[0], sent)
	b.Add(fds[0], sent[:1])
	b.Add(-1, sent[:1])
	got := append([]Short(nil), b.Submit()...)
	if len(got) != 3 || got[0].Index != 1 || got[0].Err != nil || got[0].N == 0 ||
		got[1] != (Short{2, 0, ErrAgain}) || got[2].Index != 3 || !errors.Is(got[2].Err, unix.EBADF) {
		return fmt.Errorf("sends that were whole, cut short, refused and impossible were reported as %v", got)
	}
	n, err := unix.Read(fds[1], sent)
	if err == nil && n != 1+got[0].N {
		err = fmt.Errorf("of a send that was reported as %d bytes came %d", got[0].N, n-1)
	}
	return err
}
