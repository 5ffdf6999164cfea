package gateway

// queue is what waits for a client because the kernel's send buffer is full.
// It holds references to shared encodings, not copies of them.
type queue struct {
	bufs  [][]byte // bufs[head:] is still to be sent
	head  int
	bytes int // the sum of these
	// history is how much of what was queued the client asked for, which its
	// bound is raised by while the queue lasts.
	history int
	begun   bool // the first bytes of bufs[head] are sent: the rest has to follow
}

// add appends b, which must not change any more.
func (q *queue) add(b []byte) {
	q.bufs = append(q.bufs, b)
	q.bytes += len(b)
}

// pending returns the buffers to send, oldest first.
func (q *queue) pending() [][]byte { return q.bufs[q.head:] }

// sent takes n bytes off the front.
func (q *queue) sent(n int) {
	q.bytes -= n
	for n > 0 {
		b := q.bufs[q.head]
		if n < len(b) {
			q.bufs[q.head] = b[n:]
			q.begun = true
			return
		}
		n -= len(b)
		q.bufs[q.head] = nil
		q.head++
		q.begun = false
	}
	if q.head == len(q.bufs) {
		q.bufs, q.head = q.bufs[:0], 0
	}
}

// dropUnsent forgets all but the rest of a buffer whose first bytes are on the
// wire already.
func (q *queue) dropUnsent() {
	keep := q.head
	if q.begun {
		keep++
	}
	for i := keep; i < len(q.bufs); i++ {
		q.bytes -= len(q.bufs[i])
		q.bufs[i] = nil
	}
	q.bufs = q.bufs[:keep]
}

// maxIdleBufs is the capacity that a freed queue keeps for its next owner.
const maxIdleBufs = 64

// reset empties the queue.
func (q *queue) reset() {
	bufs := q.bufs
	clear(bufs)
	if cap(bufs) > maxIdleBufs {
		bufs = nil
	}
	*q = queue{bufs: bufs[:0]}
}
