// Package reactor drives non-blocking sockets by readiness events: an event
// loop on easygo's netpoll.Epoll, a queue through which other goroutines hand
// it work, and the raw socket calls that go with it.
//
// No other package calls the kernel directly.
package reactor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/mailru/easygo/netpoll"
	"golang.org/x/sys/unix"
)

// Events are the operations that a descriptor is ready for.
type Events uint32

const (
	// In: bytes, a connection or the end of the stream can be read.
	In Events = unix.EPOLLIN
	// Out: there is room to write, or a connect has ended.
	Out Events = unix.EPOLLOUT
	// Hup: the peer closed its side, or the socket failed. It needs no
	// registration.
	Hup Events = unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLRDHUP
	// Gone: a Hup after which both sides are closed or the socket failed.
	Gone Events = unix.EPOLLHUP | unix.EPOLLERR
	// Half registers for Gone alone, in place of In: for an owner that goes on after
	// the peer closed its side.
	Half Events = 1 << 20 // means nothing to the kernel
)

// Key names a registered descriptor by the owner's slot and its generation.
// The kernel keeps it in the event's 64 bits, so the loop holds nothing per
// descriptor, and an event that was already under way when a descriptor was
// closed and its number reused is recognised by its old generation.
//
// Slot 1<<32-1 is the loop's own.
type Key struct{ Slot, Gen uint32 }

// wakeSlot marks the loop's eventfd.
const wakeSlot = 1<<32 - 1

// Handler is the owner of a loop's descriptors. It is called on the loop's
// goroutine only and must not block.
type Handler interface {
	// Ready reports that the descriptor of k is ready for ev. The owner compares
	// k.Gen with the generation of the slot now.
	Ready(k Key, ev Events)
	// Turn is called after each slice of events and of posts, to do a slice of long work, about
	// Slice. With more it is called again before the loop sleeps, after the events that arrived
	// meanwhile.
	Turn() (more bool)
}

// maxEvents is the batch of one epoll_wait.
const maxEvents = 512

// Loop is one event loop. easygo's Epoll holds a single descriptor, the inner
// epoll with all of the owner's sockets: easygo's callback map and closure
// would cost 54 B for each, the inner epoll costs one more syscall a wake-up.
type Loop struct {
	// Immutable
	handler Handler
	started time.Time
	inner   int // epoll descriptor
	wake    int // eventfd in inner

	// Owned by the loop's goroutine
	events  [maxEvents]unix.EpollEvent
	next    int // the first of the events that the handler hasn't had
	got     int // how many there are
	failed  bool
	named   time.Duration // after started: when epoll_wait returned the events
	yielded time.Duration // after started
	told    time.Duration // after started: when the handler got the event
	slice   time.Duration // after started: when this slice of events began
	cpu     time.Duration // of the thread, as the slice began; 0: not known
	away    time.Duration // time of the slice without a CPU that Spent has left out so far
	running []func()      // the posts' other buffer
	ran     int           // of running

	// Owned by the goroutine that starts and closes the loop
	outer *netpoll.Epoll
	fatal func(error)

	// Guarded by mu
	mu     sync.Mutex
	posts  []func()
	closed bool

	// Atomic
	stopping atomic.Bool // closed, for the loop between two rounds
}

// Slice is how long events are handled, then posts, then the owner's long work,
// before the next of the three: a burst of one doesn't keep the others waiting.
const Slice = 500 * time.Microsecond

// yieldInterval is how long a loop works without giving way to others.
const yieldInterval = 4 * time.Millisecond

// New returns a loop that isn't running yet; descriptors may be added.
func New(h Handler) (*Loop, error) {
	inner, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(inner)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	l := &Loop{handler: h, started: time.Now(), inner: inner, wake: wake}
	if err := l.Add(wake, Key{Slot: wakeSlot}, In); err != nil {
		l.closeDescriptors()
		return nil, err
	}
	return l, nil
}

// Start runs the loop on a goroutine of easygo, which Close ends and waits
// for. fatal is called once, on that goroutine, when epoll fails or the
// handler panics; the loop does nothing any more after that.
func (l *Loop) Start(fatal func(error)) error {
	l.fatal = fatal
	outer, err := netpoll.EpollCreate(&netpoll.EpollConfig{
		OnWaitError: func(err error) { fatal(fmt.Errorf("epoll wait: %w", err)) },
	})
	if err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	l.outer = outer
	if err := outer.Add(l.inner, netpoll.EPOLLIN, l.run); err != nil {
		return fmt.Errorf("register the loop: %w", err)
	}
	return nil
}

// Close stops the loop, waits for it and frees its descriptors; the owner's
// sockets stay open. Work posted and not yet run is dropped.
func (l *Loop) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.stopping.Store(true)
	var err error
	if l.outer != nil {
		err = l.outer.Close()
	}
	l.closeDescriptors()
	return err
}

func (l *Loop) closeDescriptors() {
	unix.Close(l.wake)
	unix.Close(l.inner)
}

// Post has fn run on the loop, after all that was posted before it. It may be
// called from any goroutine and never blocks. False: the loop is closed and fn
// will not run.
func (l *Loop) Post(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.posts = append(l.posts, fn)
	if len(l.posts) == 1 {
		l.signal()
	}
	return true
}

// one makes an eventfd readable that it is written to.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// signal makes the loop's eventfd readable. It is written under mu, so that
// Close can't free the descriptor meanwhile.
func (l *Loop) signal() {
	for {
		if _, err := unix.Write(l.wake, one); err != unix.EINTR {
			return
		}
	}
}

// Add registers fd; events are level-triggered.
func (l *Loop) Add(fd int, k Key, ev Events) error {
	return l.control(unix.EPOLL_CTL_ADD, fd, k, ev)
}

// Mod changes the events that fd is watched for.
func (l *Loop) Mod(fd int, k Key, ev Events) error {
	return l.control(unix.EPOLL_CTL_MOD, fd, k, ev)
}

// Del ends the watch on fd. Closing the descriptor does the same where no
// duplicate of it exists.
func (l *Loop) Del(fd int) error {
	return l.control(unix.EPOLL_CTL_DEL, fd, Key{}, 0)
}

func (l *Loop) control(op, fd int, k Key, ev Events) error {
	events := uint32(ev) | unix.EPOLLRDHUP
	if ev&Half != 0 {
		events = uint32(ev &^ (Half | unix.EPOLLRDHUP))
	}
	e := unix.EpollEvent{
		Events: events,
		Fd:     int32(k.Slot),
		Pad:    int32(k.Gen),
	}
	if err := unix.EpollCtl(l.inner, op, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// run is easygo's callback: it works until nothing is left to do, and asks the inner epoll once
// more before it returns to easygo's wait. Under load more events are ready by then, and the
// wait with its way through Go's scheduler is saved.
func (l *Loop) run(ev netpoll.EpollEvent) {
	// Epoll.Close calls with an event of its own, on the closer's goroutine.
	if ev&(netpoll.EPOLLIN|netpoll.EPOLLERR) == 0 || l.failed {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			l.failed = true
			l.outer.Del(l.inner)
			l.fatal(fmt.Errorf("panic in the event loop: %v\n%s", p, debug.Stack()))
		}
	}()
	for !l.stopping.Load() {
		l.yield()
		if l.next == l.got {
			n, err := l.poll()
			if err != nil {
				l.failed = true
				l.outer.Del(l.inner)
				l.fatal(err)
				return
			}
			l.next, l.got, l.named = 0, n, l.time()
		}
		events := l.got > 0
		l.handleEvents()
		posts := l.runPosts()
		if more := l.handler.Turn(); !more && !posts && !events {
			return
		}
	}
}

// AllTold reports whether the handler has had all events of the last epoll_wait. It
// is for the loop's goroutine.
func (l *Loop) AllTold() bool { return l.next == l.got }

// Late reports whether events of an epoll_wait more than 4 ms ago still wait. It is
// for the loop's goroutine.
func (l *Loop) Late() bool { return !l.AllTold() && l.time()-l.named > late }

// late is how long the events of one epoll_wait may wait before the loop is late. A rush
// of 15,000 handshakes took a fifth more CPU where it was late at once.
const late = 4 * time.Millisecond

// handleEvents passes events to the handler for a slice of time. The rest of the batch precedes
// the next epoll_wait, which would return the first ones first.
func (l *Loop) handleEvents() {
	start := l.time()
	l.slice, l.cpu, l.away = start, 0, 0
	if l.got-l.next >= busyEvents {
		l.cpu = threadTime()
	}
	for l.told = start; l.next < l.got; {
		e := &l.events[l.next]
		l.next++
		k := Key{Slot: uint32(e.Fd), Gen: uint32(e.Pad)}
		if k.Slot == wakeSlot {
			var drained [8]byte
			unix.Read(l.wake, drained[:])
			continue
		}
		l.handler.Ready(k, Events(e.Events))
		if l.told = l.time(); l.told-start > Slice {
			return
		}
	}
}

// Spent returns how long the handler has worked on the present event. If that
// is longer than the given time and many events wait, the time in which the thread had
// no CPU is left out. Ready may call it once for an event.
func (l *Loop) Spent(than time.Duration) time.Duration {
	spent := l.time() - l.told
	if spent <= than || l.cpu == 0 {
		return spent
	}
	// The clock was asked before the thread's as the slice began and is asked after it
	// now, so that a thread which had a CPU all the time hasn't worked for longer.
	worked := threadTime() - l.cpu
	now := l.time()
	if worked < 0 || worked > now-l.slice {
		return 0 // Go's scheduler has moved the loop to another thread
	}
	away := now - l.slice - worked
	spent -= max(0, away-l.away)
	l.away = away
	return max(0, spent)
}

// busyEvents is the number of events for which it is worth 1.5 us to know how long the
// thread had a CPU.
const busyEvents = 16

// threadTime returns how long the thread has had a CPU.
func threadTime() time.Duration {
	var t unix.Timespec
	unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}

// time returns how long it is since the loop was made.
func (l *Loop) time() time.Duration { return time.Since(l.started) }

// yield gives way to Go's scheduler now and then, before its monitor thread makes
// it: a goroutine that runs for 10 ms gets a signal, and the monitor wakes up
// every 20 us for a while after each that it had to send. In a flood of handshakes
// that is 7 % of the CPU time, and 10 % of a heartbeat's.
func (l *Loop) yield() {
	if now := l.time(); now-l.yielded > yieldInterval {
		runtime.Gosched()
		l.yielded = now
	}
}

// poll asks the inner epoll for the ready descriptors. It doesn't wait, so Go's
// scheduler need not know.
func (l *Loop) poll() (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.inner), uintptr(unsafe.Pointer(&l.events[0])), maxEvents, 0, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("epoll_wait: %w", errno)
}

// runPosts runs the functions posted so far, for a slice of time, and reports
// whether it must be called again: some of it is left, or it was begun in an earlier
// round, and the wake-up for later posts is through. Functions that posts
// post wait for the next round.
func (l *Loop) runPosts() (more bool) {
	begun := l.ran < len(l.running)
	if !begun {
		l.mu.Lock()
		l.running, l.posts, l.ran = l.posts, l.running[:0], 0
		l.mu.Unlock()
	}
	for start := l.time(); l.ran < len(l.running); {
		fn := l.running[l.ran]
		l.running[l.ran] = nil
		l.ran++
		fn()
		if l.time()-start > Slice {
			break
		}
	}
	return begun || l.ran < len(l.running)
}
