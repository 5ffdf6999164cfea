package sink

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxPending is how many bytes wait for the other end, about 2,000 lines.
	maxPending = 256 << 10
	// maxKept is the largest buffer that stays for the next lines.
	maxKept = 16 << 10
	// atomicBytes are taken by a pipe whole or not at all (PIPE_BUF), so that
	// lines of several processes don't mix.
	atomicBytes = 4096
	// retryEvery is the time between two tries to write to a full descriptor that
	// doesn't block, because of Detach or of a process that shares it.
	retryEvery = 10 * time.Millisecond
)

// Writer passes on the lines that are written to it, whole and in the background. Write only
// copies: where the other end is slow the newest lines are lost, where it's full or gone the
// refused ones. It is safe for concurrent use. A goroutine runs while anything waits; Flush
// waits for it.
type Writer struct {
	// Immutable
	to io.Writer

	// Guarded by mu
	mu      sync.Mutex
	pending []byte
	spare   []byte                   // becomes pending when that is taken
	idle    chan struct{}            // closed when the goroutine ends; nil: none runs
	notice  func(lost uint64) []byte // see Notice

	// Owned by the goroutine, of which there is one at most
	told uint64 // lost lines that a notice was written of
	cut  bool   // the last write ended within a line

	// Atomic
	lost atomic.Uint64
}

// NewWriter returns a writer to a descriptor.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// Notice has a line of the caller's making written after lines were lost, as
// soon as anything can be written. It is called on the writer's goroutine.
func (w *Writer) Notice(line func(lost uint64) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notice = line
}

// Lost returns how many lines were lost.
func (w *Writer) Lost() uint64 { return w.lost.Load() }

// Unwrap returns the descriptor, to find out its kind.
func (w *Writer) Unwrap() io.Writer { return w.to }

// Write takes one line or several. It doesn't wait, never fails, and keeps no
// hold on p.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) > 0 && len(w.pending)+len(p) > maxPending {
		w.lost.Add(lines(p))
		return len(p), nil
	}
	w.pending = append(w.pending, p...)
	if w.idle == nil {
		w.idle = make(chan struct{})
		go w.run()
	}
	return len(p), nil
}

// Flush waits until all lines are written, at most for a time.
func (w *Writer) Flush(most time.Duration) {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	if idle == nil {
		return
	}
	limit := time.NewTimer(most)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
	}
}

// run writes until nothing is left.
func (w *Writer) run() {
	for {
		w.mu.Lock()
		batch, notice, lost := w.pending, w.notice, w.lost.Load()
		if len(batch) == 0 {
			close(w.idle)
			w.idle = nil
			w.mu.Unlock()
			return
		}
		w.pending, w.spare = w.spare, nil
		w.mu.Unlock()

		ok := w.write(batch)
		if ok && notice != nil && lost > w.told && w.put(notice(lost-w.told)) {
			w.told = lost
		}
		if cap(batch) <= maxKept {
			w.mu.Lock()
			w.spare = batch[:0]
			w.mu.Unlock()
		}
	}
}

// write passes a batch on and reports whether all of it was taken.
func (w *Writer) write(batch []byte) bool {
	ok := true
	for len(batch) > 0 {
		piece := firstLines(batch)
		batch = batch[len(piece):]
		ok = w.put(piece) && ok
	}
	return ok
}

// firstLines returns the lines that a pipe takes at once, and one at least.
func firstLines(batch []byte) []byte {
	if len(batch) <= atomicBytes {
		return batch
	}
	if end := bytes.LastIndexByte(batch[:atomicBytes], '\n'); end >= 0 {
		return batch[:end+1]
	}
	if end := bytes.IndexByte(batch, '\n'); end >= 0 {
		return batch[:end+1]
	}
	return batch
}

// put writes a piece and counts the lines that were refused.
func (w *Writer) put(piece []byte) bool {
	if w.cut {
		piece = slices.Concat(lineEnd, piece)
	}
	for len(piece) > 0 {
		n, err := w.to.Write(piece)
		if n > 0 {
			w.cut = piece[n-1] != '\n'
			piece = piece[n:]
		}
		switch {
		case errors.Is(err, syscall.EAGAIN):
			time.Sleep(retryEvery)
		case err != nil:
			w.lost.Add(lines(bytes.TrimPrefix(piece, lineEnd)))
			return false
		}
	}
	w.cut = false
	return true
}

var lineEnd = []byte("\n")

// lines counts the lines of a text.
func lines(p []byte) uint64 { return uint64(max(1, bytes.Count(p, lineEnd))) }
