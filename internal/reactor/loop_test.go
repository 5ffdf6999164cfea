package reactor

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// recorder is a Handler whose parts are functions.
type recorder struct {
	ready func(Key, Events)
	turn  func() bool
}

func (r *recorder) Ready(k Key, ev Events) {
	if r.ready != nil {
		r.ready(k, ev)
	}
}

func (r *recorder) Turn() bool { return r.turn != nil && r.turn() }

func startLoop(t *testing.T, h Handler) *Loop {
	t.Helper()
	l, err := New(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(func(err error) { t.Errorf("loop failed: %v", err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// pair returns two connected non-blocking sockets.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestPostsRunInOrder(t *testing.T) {
	l := startLoop(t, &recorder{})
	const n = 10_000
	got := make(chan int, n)
	for i := range n {
		if !l.Post(func() { got <- i }) {
			t.Fatal("refused")
		}
	}
	for want := range n {
		if i := receive(t, got); i != want {
			t.Fatalf("post %d ran in place of %d", i, want)
		}
	}
}

func TestPostFromTheLoop(t *testing.T) {
	l := startLoop(t, &recorder{})
	done := make(chan struct{})
	l.Post(func() { l.Post(func() { close(done) }) })
	receive(t, done)
}

func TestPostAfterClose(t *testing.T) {
	l := startLoop(t, &recorder{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l.Post(func() { t.Error("ran after Close") }) {
		t.Error("taken after Close")
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestEventCarriesKey(t *testing.T) {
	type event struct {
		k  Key
		ev Events
	}
	events := make(chan event, 100)
	a, b := pair(t)
	h := &recorder{}
	h.ready = func(k Key, ev Events) {
		var p [16]byte
		Read(a, p[:])
		select {
		case events <- event{k, ev}:
		default: // the end of the stream is reported over and over
		}
	}
	l := startLoop(t, h)
	want := Key{Slot: 1<<32 - 3, Gen: 1<<32 - 1}
	if err := l.Add(a, want, In); err != nil {
		t.Fatal(err)
	}
	Write(b, []byte("x"))
	if e := receive(t, events); e.k != want || e.ev&In == 0 {
		t.Errorf("got %+v", e)
	}
	// The end of the stream is reported without being asked for.
	if err := l.Mod(a, want, 0); err != nil {
		t.Fatal(err)
	}
	ShutdownWrite(b)
	if e := receive(t, events); e.ev&Hup == 0 {
		t.Errorf("got %+v, want Hup", e)
	}
}

// A descriptor number that is given out again while its predecessor's event is in the same
// batch must be distinguished by the generation.
func TestReusedDescriptor(t *testing.T) {
	a, b := pair(t)
	c, d := pair(t)
	type slot struct{ gen uint32 }
	slots := map[uint32]*slot{1: {1}, 2: {1}}
	stale := make(chan Key, 10)
	var l *Loop
	h := &recorder{}
	h.ready = func(k Key, ev Events) {
		if slots[k.Slot].gen != k.Gen {
			stale <- k
			return
		}
		// The first one frees the other one's slot.
		other := uint32(3) - k.Slot
		slots[other].gen++
		l.Del(a)
		l.Del(c)
	}
	var err error
	if l, err = New(h); err != nil {
		t.Fatal(err)
	}
	l.Add(a, Key{1, 1}, In)
	l.Add(c, Key{2, 1}, In)
	Write(b, []byte("x"))
	Write(d, []byte("x"))
	l.Start(func(err error) { t.Error(err) })
	defer l.Close()
	if k := receive(t, stale); k.Gen != 1 {
		t.Errorf("stale key %+v", k)
	}
}

// Long work must not keep events waiting, and must go on without any.
func TestTurnsAndEventsAlternate(t *testing.T) {
	var left atomic.Int64
	done := make(chan struct{})
	h := &recorder{}
	h.turn = func() bool {
		switch n := left.Add(-1); {
		case n > 0:
			return true
		case n == 0:
			close(done)
		}
		return false
	}
	l := startLoop(t, h)
	a, b := pair(t)
	seen := make(chan int64, 1)
	h.ready = func(Key, Events) {
		var p [1]byte
		if _, err := Read(a, p[:]); err == nil {
			seen <- left.Load()
		}
	}
	l.Add(a, Key{Slot: 1}, In)
	const turns = 1_000_000
	l.Post(func() {
		left.Store(turns)
		Write(b, []byte("x"))
	})
	if n := receive(t, seen); n < turns-2 {
		t.Errorf("the event was seen %d turns late", turns-n)
	}
	receive(t, done)
}

// A loop that always has something to do must end all the same.
func TestCloseOfABusyLoop(t *testing.T) {
	busy := make(chan struct{})
	var once sync.Once
	h := &recorder{turn: func() bool {
		once.Do(func() { close(busy) })
		return true
	}}
	l := startLoop(t, h)
	l.Post(func() {})
	receive(t, busy)
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	if err := receive(t, closed); err != nil {
		t.Error(err)
	}
}

func TestPanicIsFatal(t *testing.T) {
	l, err := New(&recorder{})
	if err != nil {
		t.Fatal(err)
	}
	fatal := make(chan error, 1)
	if err := l.Start(func(err error) { fatal <- err }); err != nil {
		t.Fatal(err)
	}
	l.Post(func() { panic("broken") })
	if err := receive(t, fatal); !strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), "loop_test.go") {
		t.Errorf("the error lacks the panic or its stack: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestWriteIsBoundedByTheBuffer(t *testing.T) {
	a, b := pair(t)
	big := make([]byte, 4<<20)
	n, err := Write(a, big)
	if err != nil || n == 0 || n == len(big) {
		t.Fatalf("Write took %d of %d: %v", n, len(big), err)
	}
	if n, err := Write(a, big); n != 0 || err != ErrAgain {
		t.Errorf("Write on a full socket: %d, %v", n, err)
	}
	if n, err := Writev(a, [][]byte{big, big}); n != 0 || err != ErrAgain {
		t.Errorf("Writev on a full socket: %d, %v", n, err)
	}
	unix.Close(b)
	if _, err := Write(a, big); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Write without a reader: %v", err)
	}
}

func TestWritevKeepsOrder(t *testing.T) {
	a, b := pair(t)
	bufs := [][]byte{[]byte("ab"), nil, []byte("c"), []byte("def")}
	if n, err := Writev(a, bufs); n != 6 || err != nil {
		t.Fatalf("Writev: %d, %v", n, err)
	}
	var p [16]byte
	n, err := Read(b, p[:])
	if got := string(p[:n]); got != "abcdef" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	many := make([][]byte, 2*maxVec)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	if n, err := Writev(a, many); n != maxVec || err != nil {
		t.Errorf("Writev of %d buffers: %d, %v", len(many), n, err)
	}
	if n, err := Writev(a, nil); n != 0 || err != nil {
		t.Errorf("Writev of nothing: %d, %v", n, err)
	}
}

func TestPeekLeavesWhatIsThere(t *testing.T) {
	a, b := pair(t)
	var p [16]byte
	if n, err := Peek(b, p[:]); n != 0 || err != ErrAgain {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	if _, err := Write(a, []byte("ab")); err != nil {
		t.Fatal(err)
	}
	for i, read := range []func(int, []byte) (int, error){Peek, Peek, Read} {
		if n, err := read(b, p[:]); string(p[:n]) != "ab" || err != nil {
			t.Errorf("%d: %q, %v", i, p[:n], err)
		}
	}
	unix.Close(a)
	if _, err := Peek(b, p[:]); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	a, b := pair(t)
	msg, buf := []byte("hello"), make([]byte, 64)
	vec := [][]byte{msg, msg}
	if n := testing.AllocsPerRun(100, func() {
		Write(a, msg)
		Read(b, buf)
		Writev(a, vec)
		Read(b, buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkSend compares the ways into the kernel.
func BenchmarkSend(b *testing.B) {
	msg, buf := make([]byte, 128), make([]byte, 256)
	for name, send := range map[string]func(fd int){
		"raw":       func(fd int) { Write(fd, msg) },
		"scheduled": func(fd int) { unix.Write(fd, msg) },
	} {
		b.Run(name, func(b *testing.B) {
			from, to := pair(b)
			for b.Loop() {
				send(from)
				Read(to, buf)
			}
		})
	}
}
