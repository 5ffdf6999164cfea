package conn

import (
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Out is output on its way to a client.
type Out struct {
	Bytes   []byte             // must not change any more, unless Own
	Message *message.Message   // the first in Bytes, if any
	Batch   []*message.Message // all in Bytes where they are several, else nil
	Form    message.Form       // of the messages, where there is a batch
	History bool               // requested by the client: doesn't count against its queue bound
	Own     bool               // the caller reuses Bytes

	sent int // of Bytes
}

// Output writes to a loop's connections, and queues the bytes that the kernel doesn't take at once.
type Output struct {
	set     *Set
	queues  queue.Set
	origins queue.Origins // of queued messages
	cork    cork
	batch   batch
	vec     [64][]byte     // of a flush
	one     [1][]byte      // of a send
	onWrite func(i uint32) // test hook
}

// Send writes output to the client and queues the remainder, as a reference unless it's the
// caller's own. It may close the connection. Sends to a closed connection are dropped.
func (w *Output) Send(i uint32, o Out) {
	if c := w.set.Slots.at(i); c.state == stateOpen {
		w.transmit(i, c, o)
	}
}

// SendBytes is Send for bytes that must not change any more.
func (w *Output) SendBytes(i uint32, b []byte) { w.Send(i, Out{Bytes: b}) }

// SendCopy is Send for bytes that the caller reuses.
func (w *Output) SendCopy(i uint32, b []byte) { w.Send(i, Out{Bytes: b, Own: true}) }

// SendEach sends buffers in order.
func (w *Output) SendEach(i uint32, bufs [][]byte) {
	for _, b := range bufs {
		if len(b) > 0 {
			w.SendBytes(i, b)
		}
	}
}

// Queued reports whether output waits for the client to read.
func (w *Output) Queued(i uint32) bool { return w.set.Slots.at(i).out != 0 }

// Queue returns the queue of a client that is Queued.
func (w *Output) Queue(i uint32) *queue.Queue { return w.queues.At(w.set.Slots.at(i).out) }

// transmit is Send, also for the last bytes of a closing connection.
func (w *Output) transmit(i uint32, c *socket, o Out) {
	if o.History && w.cork.slot == i {
		w.cork.history = true
	}
	if rest := w.write(i, c, o.Bytes); len(rest) > 0 {
		o.sent = len(o.Bytes) - len(rest)
		w.enqueue(i, c, o)
	} else if c.flags&flagSecure != 0 && c.out != 0 { // the rest of a record
		w.set.shed()
	}
}

// write passes b to the kernel unless output is pending already, and returns the remainder to
// queue.
func (w *Output) write(i uint32, c *socket, b []byte) (rest []byte) {
	if taken, ok := w.gatherFor(i, c, b); taken || !ok {
		return nil
	}
	w.unbatch(c)
	if c.state == stateGone {
		return nil
	}
	if c.out != 0 {
		return b
	}
	w.touch(i)
	n, err := w.put(i, c, b)
	if err != nil && err != reactor.ErrAgain {
		w.set.lost(i, c)
		return nil
	}
	return b[n:]
}

// touch is called right before bytes are written to a connection.
func (w *Output) touch(i uint32) {
	if w.onWrite != nil {
		w.onWrite(i)
	}
}

// enqueue queues the remainder of o.
func (w *Output) enqueue(i uint32, c *socket, o Out) {
	if c.state == stateGone {
		return
	}
	if kind, lossy := w.lossy(i, c, &o); lossy {
		w.enqueueEach(i, c, o, kind)
		return
	}
	w.enqueueOne(i, c, &o, nil, 0)
}

// lossy asks for the policy of a message that the kernel refused. Other output costs nothing more.
func (w *Output) lossy(i uint32, c *socket, o *Out) (kind queue.Kind, ok bool) {
	if o.Message == nil || c.state != stateOpen {
		return 0, false
	}
	return w.set.handler.Lossy(i, o)
}

// enqueueOne queues an item; from is its origin if it may be dropped.
func (w *Output) enqueueOne(i uint32, c *socket, o *Out, from *queue.Origin, kind queue.Kind) {
	if c.out == 0 {
		if !w.open(i, c) {
			return
		}
	}
	q := w.queues.At(c.out)
	if o.sent > 0 {
		q.Begin()
	}
	if from != nil && kind&queue.Latest != 0 {
		w.set.stats.Latest += uint64(q.Replace(from.Channel))
	}
	if o.Own {
		kind |= queue.Own
	}
	if o.History {
		kind |= queue.History
	}
	q.Add(o.Bytes[o.sent:], cap(o.Bytes), from, kind)
	if c.state != stateOpen {
		return
	}
	w.set.handler.Overflow(i, q)
	w.set.shed()
}

// open gives a connection a queue. It returns false if the connection was lost by that.
func (w *Output) open(i uint32, c *socket) bool {
	c.out, _ = w.queues.Open(i)
	return w.set.Reading.watch(i, c)
}

// transmitLast sends the last bytes of a connection, in one piece if the kernel takes them.
func (w *Output) transmitLast(i uint32, c *socket, bufs [][]byte) {
	w.unbatch(c)
	sent := 0
	if c.state != stateGone && c.out == 0 {
		w.touch(i)
		var err error
		if sent, err = w.putAll(i, c, bufs, true); err != nil && err != reactor.ErrAgain {
			w.set.lost(i, c)
			return
		}
	}
	for _, b := range bufs {
		n := min(sent, len(b))
		sent -= n
		if n < len(b) {
			w.enqueue(i, c, Out{Bytes: b, sent: n})
		}
	}
}

// SendHistory sends messages that a client catches up with, in as few calls as the kernel needs.
// They don't count against the client's queue bound: the client requested them, and their size is
// bounded where they are read.
func (w *Output) SendHistory(i uint32, bufs [][]byte) {
	c := w.set.Slots.at(i)
	w.unbatch(c)
	if c.state != stateOpen {
		return
	}
	sent := 0 // bytes of the first
	for c.out == 0 && len(bufs) > 0 {
		w.touch(i)
		n, err := w.putAll(i, c, bufs, false)
		if err != nil && err != reactor.ErrAgain {
			w.set.lost(i, c)
			return
		}
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if sent = n; sent > 0 || err != nil {
			break
		}
	}
	for _, b := range bufs {
		if len(b) == 0 || c.state != stateOpen {
			continue // a gap notice, which bare payloads can't carry
		}
		w.enqueue(i, c, Out{Bytes: b, sent: sent, History: true})
		sent = 0
	}
	if c.flags&flagSecure != 0 && c.out != 0 { // the rest of a record
		w.set.shed()
	}
}

// flush writes pending output as far as the kernel takes it.
func (w *Output) flush(i uint32, c *socket) {
	if c.out == 0 {
		return
	}
	q := w.queues.At(c.out)
	for q.Bytes > 0 {
		w.touch(i)
		n, err := w.putQueued(i, c, q)
		if err != nil && err != reactor.ErrAgain {
			w.set.lost(i, c)
			return
		}
		if n == 0 {
			if c.flags&flagSecure != 0 { // shared plaintext may have become a record of its own
				w.set.shed()
			}
			return
		}
		// Room in the send buffer means that the client's kernel acknowledged bytes.
		w.set.hear(c)
		switch {
		case c.state == stateOpen && c.flags&flagShaking == 0:
			w.set.handler.Progress(i)
		case c.state == stateClosing && !w.set.hurried: // the last bytes may take longer than the remaining time
			w.set.Clock.wheel.Set(i, w.set.lingerEnd(c))
		}
	}
	w.freeQueue(c)
	if !w.set.Reading.watch(i, c) {
		return
	}
	if c.flags&flagEnding != 0 {
		w.set.shutdown(i, c)
		return
	}
	if c.flags&flagShaking == 0 {
		w.set.Secure.sendOwed(i, c)
		w.set.handler.Drained(i)
	}
}

// freeQueue drops the connection's pending output.
func (w *Output) freeQueue(c *socket) {
	if c.out == 0 {
		return
	}
	w.queues.Free(c.out)
	c.out = 0
}

// cork gathers the output to a client caused by one read from it. A write takes 5 us: the handshake
// response, the welcome and the confirmed channels would be three, and the responses to pipelined
// requests hundreds.
type cork struct {
	slot    uint32 // of the connection, 0 = none
	bytes   []byte
	history bool // requested by the client, see Out
}

// corkBytes is the most that is gathered.
const corkBytes = 16 << 10

// Cork gathers the output to a connection until Uncork. Nothing may block in between.
func (w *Output) Cork(i uint32) {
	w.cork.slot, w.cork.bytes, w.cork.history = i, w.cork.bytes[:0], false
}

// CorkHistory is Cork for output that the client requested: it isn't slow if it takes its time.
func (w *Output) CorkHistory(i uint32) {
	w.Cork(i)
	w.cork.history = true
}

// gatherFor adds b to the cork if that is the connection's and has room. Otherwise gathered output
// goes first; ok is false if the connection was closed by that.
func (w *Output) gatherFor(i uint32, c *socket, b []byte) (taken, ok bool) {
	if w.cork.slot != i {
		return false, true
	}
	if len(w.cork.bytes)+len(b) <= corkBytes {
		w.cork.bytes = append(w.cork.bytes, b...)
		return true, true
	}
	state, history := c.state, w.cork.history
	w.Uncork(i)
	if c.state != state {
		return false, false
	}
	w.Cork(i)
	w.cork.history = history
	return false, true
}

// Uncork sends the connection's gathered output, if any.
func (w *Output) Uncork(i uint32) {
	if w.cork.slot != i {
		return
	}
	w.cork.slot = 0
	if len(w.cork.bytes) > 0 {
		w.transmit(i, w.set.Slots.at(i), Out{Bytes: w.cork.bytes, Own: true, History: w.cork.history})
	}
}

// Used returns the number of connections with queued output, and the memory of that.
func (w *Output) Used() (used int, bytes int64) { return w.queues.Used(), w.queues.Bytes }
