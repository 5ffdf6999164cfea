package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for machines that do other things as well.
const patience = time.Minute

// end is the other end of a writer, as a test wants it.
type end struct {
	write func(p []byte) (int, error) // nil: takes all

	// Guarded by mu
	mu    sync.Mutex
	taken bytes.Buffer
}

func (e *end) Write(p []byte) (n int, err error) {
	n = len(p)
	if e.write != nil {
		n, err = e.write(p)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken.Write(p[:n])
	return n, err
}

func (e *end) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.taken.String()
}

func TestWriterKeepsOrder(t *testing.T) {
	to := &end{}
	w := NewWriter(to)
	var want strings.Builder
	line := []byte{}
	for i := range 10_000 {
		line = fmt.Appendf(line[:0], "line %d\n", i) // the caller's again after the call
		want.Write(line)
		w.Write(line)
		if i%100 == 0 {
			w.Flush(patience)
		}
	}
	w.Flush(patience)
	if to.text() != want.String() || w.Lost() != 0 {
		t.Errorf("%d bytes of %d, %d lines lost", len(to.text()), want.Len(), w.Lost())
	}
}

func TestWriterNeverWaits(t *testing.T) {
	writing, open := make(chan struct{}, 1000), make(chan struct{})
	to := &end{write: func(p []byte) (int, error) { writing <- struct{}{}; <-open; return len(p), nil }}
	w := NewWriter(to)
	w.Notice(func(lost uint64) []byte { return fmt.Appendf(nil, "%d lost\n", lost) })
	line := append(bytes.Repeat([]byte("x"), 1023), '\n')
	const n = 1000
	w.Write(line)
	<-writing // so that no line is lost before the end is slow, and one notice tells of all
	for range n - 1 {
		w.Write(line)
	}
	lost := w.Lost()
	if lost < n-2*maxPending/1024 || lost >= n {
		t.Errorf("%d of %d lines lost", lost, n)
	}
	w.Flush(time.Millisecond) // gives up
	close(open)
	w.Flush(patience)
	if got, want := to.text(), fmt.Sprintf("%d lost\n", lost); !strings.HasSuffix(got, want) {
		t.Errorf("it ends with %q, want %q", got[max(0, len(got)-20):], want)
	}
	if kept := strings.Count(to.text(), "xxx\n"); uint64(kept)+lost != n {
		t.Errorf("%d written and %d lost of %d", kept, lost, n)
	}
}

func TestWriterCountsWhatIsRefused(t *testing.T) {
	for name, err := range map[string]error{"full": syscall.ENOSPC, "gone": syscall.EPIPE, "closed": io.ErrClosedPipe} {
		t.Run(name, func(t *testing.T) {
			refused := true
			to := &end{write: func(p []byte) (int, error) {
				if refused {
					return 0, err
				}
				return len(p), nil
			}}
			w := NewWriter(to)
			w.Write([]byte("one\ntwo\n"))
			w.Flush(patience)
			w.Write([]byte("three\n"))
			w.Flush(patience)
			if w.Lost() != 3 {
				t.Errorf("%d lines lost, want 3", w.Lost())
			}
			refused = false
			w.Write([]byte("four\n"))
			w.Flush(patience)
			if to.text() != "four\n" || w.Lost() != 3 {
				t.Errorf("got %q, %d lines lost", to.text(), w.Lost())
			}
		})
	}
}

// A line that was cut short is not taken for the beginning of the next.
func TestWriterGoesOnWithALine(t *testing.T) {
	room := 6
	to := &end{write: func(p []byte) (int, error) {
		if len(p) > room {
			return room, syscall.ENOSPC
		}
		return len(p), nil
	}}
	w := NewWriter(to)
	w.Write([]byte("a long line\n"))
	w.Flush(patience)
	room = 100
	w.Write([]byte("next\n"))
	w.Flush(patience)
	if got := to.text(); got != "a long\nnext\n" || w.Lost() != 1 {
		t.Errorf("got %q, %d lines lost", got, w.Lost())
	}
}

// A descriptor that another process has made non-blocking takes a part.
func TestWriterAsksAgain(t *testing.T) {
	full := false
	to := &end{write: func(p []byte) (int, error) {
		if full = !full; full {
			return min(len(p), 3), syscall.EAGAIN
		}
		return len(p), nil
	}}
	w := NewWriter(to)
	w.Write([]byte("one line\n"))
	w.Write([]byte("another\n"))
	w.Flush(patience)
	if got := to.text(); got != "one line\nanother\n" || w.Lost() != 0 {
		t.Errorf("got %q, %d lines lost", got, w.Lost())
	}
}

// Lines of several processes on one pipe don't mix.
func TestWriterWritesWholeLines(t *testing.T) {
	var sizes []int
	hold := make(chan struct{})
	to := &end{write: func(p []byte) (int, error) {
		<-hold
		if p[len(p)-1] != '\n' {
			t.Errorf("a write ends with %q", p[len(p)-1])
		}
		sizes = append(sizes, len(p))
		return len(p), nil
	}}
	w := NewWriter(to)
	for _, n := range []int{10, 100, 3000, 4000, 90, 5000, 7} {
		w.Write(append(bytes.Repeat([]byte("x"), n-1), '\n'))
	}
	close(hold)
	w.Flush(patience)
	small := slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n > atomicBytes })
	if len(small) < len(sizes)-1 {
		t.Errorf("writes of %v bytes", sizes)
	}
}

func TestWriterForMany(t *testing.T) {
	to := &end{}
	w := NewWriter(to)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 500 {
				fmt.Fprintf(w, "%d\n", i)
				if i == 0 {
					w.Flush(patience)
				}
			}
		})
	}
	all.Wait()
	w.Flush(patience)
	if got := strings.Count(to.text(), "\n"); uint64(got)+w.Lost() != 8*500 {
		t.Errorf("%d written, %d lost", got, w.Lost())
	}
}

func TestOutput(t *testing.T) {
	for name, test := range map[string]struct{ fails, want error }{
		"takes all":   {nil, nil},
		"reader left": {syscall.EPIPE, nil},
		"disk full":   {syscall.ENOSPC, syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewOutput(&end{write: func(p []byte) (int, error) {
				if test.fails != nil {
					return 0, test.fails
				}
				return len(p), nil
			}})
			for range 2 {
				if _, err := o.Write([]byte("x")); !errors.Is(err, test.want) {
					t.Errorf("a write returns %v", err)
				}
			}
			if !errors.Is(o.Err(), test.want) {
				t.Errorf("got %v, want %v", o.Err(), test.want)
			}
		})
	}
}
