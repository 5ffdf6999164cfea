package reactor

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The parts of the kernel's io_uring.h that x/sys/unix lacks.
const (
	ringOpSend = 26 // IORING_OP_SEND

	ringSubmitAll    = 1 << 7  // IORING_SETUP_SUBMIT_ALL: a failure doesn't stop the sends behind it
	ringSkipSuccess  = 1 << 6  // IOSQE_CQE_SKIP_SUCCESS: no completion for a success
	ringSingleMap    = 1 << 0  // IORING_FEAT_SINGLE_MMAP
	ringSkipsSuccess = 1 << 11 // IORING_FEAT_CQE_SKIP

	ringOffsetRings   = 0          // IORING_OFF_SQ_RING
	ringOffsetEntries = 0x10000000 // IORING_OFF_SQES
)

// ringParams is struct io_uring_params.
type ringParams struct {
	sqEntries, cqEntries     uint32
	flags                    uint32
	sqThreadCPU, sqThreadIdl uint32
	features                 uint32
	wqFD                     uint32
	_                        [3]uint32
	sq                       struct {
		head, tail, mask, entries, flags, dropped, array uint32
		_                                                uint32
		_                                                uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags uint32
		_                                                uint32
		_                                                uint64
	}
}

// ringSend is struct io_uring_sqe as a send fills it.
type ringSend struct {
	op, flags uint8
	priority  uint16
	fd        int32
	_         uint64
	addr      uint64
	length    uint32
	msgFlags  uint32
	user      uint64
	_         [3]uint64
}

// ringDone is struct io_uring_cqe.
type ringDone struct {
	user  uint64
	res   int32
	flags uint32
}

// ring is an io_uring with its memory mapped, for one goroutine. The kernel
// looks at it only during enter: no thread polls it.
type ring struct {
	fd     int
	mapped [2][]byte

	sends  []ringSend
	tail   *uint32
	cqHead *uint32
	cqTail *uint32
	cqMask uint32
	done   unsafe.Pointer // of the first ringDone
}

// newRing returns a ring for a number of sends at a time, a power of two.
func newRing(entries int) (_ *ring, err error) {
	p := ringParams{flags: ringSubmitAll}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	unix.CloseOnExec(int(fd))
	r := &ring{fd: int(fd)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if need := uint32(ringSingleMap | ringSkipsSuccess); p.features&need != need {
		return nil, fmt.Errorf("this kernel's io_uring lacks features: it has %#x, needed are %#x", p.features, need)
	}
	size := max(p.sq.array+4*p.sqEntries, p.cq.cqes+uint32(unsafe.Sizeof(ringDone{}))*p.cqEntries)
	if r.mapped[0], err = r.mmap(ringOffsetRings, int(size)); err != nil {
		return nil, err
	}
	if r.mapped[1], err = r.mmap(ringOffsetEntries, int(p.sqEntries)*int(unsafe.Sizeof(ringSend{}))); err != nil {
		return nil, err
	}
	at := func(offset uint32) unsafe.Pointer { return unsafe.Pointer(&r.mapped[0][offset]) }
	r.sends = unsafe.Slice((*ringSend)(unsafe.Pointer(&r.mapped[1][0])), p.sqEntries)
	r.tail, r.cqHead, r.cqTail = (*uint32)(at(p.sq.tail)), (*uint32)(at(p.cq.head)), (*uint32)(at(p.cq.tail))
	r.cqMask, r.done = *(*uint32)(at(p.cq.mask)), at(p.cq.cqes)
	// Entry i always stands in place i of the queue.
	array := unsafe.Slice((*uint32)(at(p.sq.array)), p.sqEntries)
	for i := range array {
		array[i] = uint32(i)
	}
	return r, nil
}

func (r *ring) mmap(offset int64, size int) ([]byte, error) {
	b, err := unix.Mmap(r.fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map an io_uring: %w", err)
	}
	return b, nil
}

// next returns the entry for the n-th send since all before were taken.
func (r *ring) next(n int) *ringSend {
	return &r.sends[(int(*r.tail)+n)&(len(r.sends)-1)]
}

// enter has the kernel carry out n sends, in order, and returns how many of
// them it took; it forgets the others.
func (r *ring) enter(n int) (taken int) {
	head := *r.tail
	atomic.StoreUint32(r.tail, head+uint32(n))
	for taken < n {
		got, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(n-taken), 0, 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 || got == 0 {
			break
		}
		taken += int(got)
	}
	atomic.StoreUint32(r.tail, head+uint32(taken))
	return taken
}

// reap calls fn for every completion.
func (r *ring) reap(fn func(user uint64, res int32)) {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		d := (*ringDone)(unsafe.Add(r.done, uintptr(head&r.cqMask)*unsafe.Sizeof(ringDone{})))
		fn(d.user, d.res)
	}
	atomic.StoreUint32(r.cqHead, head)
}

func (r *ring) close() {
	for _, b := range r.mapped {
		if b != nil {
			unix.Munmap(b)
		}
	}
	unix.Close(r.fd)
}
