package gateway

import (
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// outgoing is output on its way to a client.
type outgoing struct {
	b       []byte             // must not change any more, unless own
	sent    int                // of b
	message *message.Message   // the first in b, if any
	batch   []*message.Message // all in b where they are several, else nil
	history bool               // requested by the client
	own     bool               // the caller reuses b
}

// send writes b to the client and queues the remainder, as a reference: b must not change any more.
// It may close the connection.
func (s *shard) send(i uint32, c *conn, b []byte) { s.sendItem(i, c, outgoing{b: b}) }

// sendEach sends buffers in order.
func (s *shard) sendEach(i uint32, c *conn, bufs [][]byte) {
	for _, b := range bufs {
		if len(b) > 0 {
			s.send(i, c, b)
		}
	}
}

// sendCopy is send for bytes that the caller reuses.
func (s *shard) sendCopy(i uint32, c *conn, b []byte) {
	s.sendItem(i, c, outgoing{b: b, own: true})
}

// sendItem is send for droppable output too. Sends to a closed connection are dropped.
func (s *shard) sendItem(i uint32, c *conn, o outgoing) {
	if c.phase < phaseClosing {
		s.transmit(i, c, o)
	}
}

// transmit is sendItem, also for the last bytes of a closing connection.
func (s *shard) transmit(i uint32, c *conn, o outgoing) {
	if o.history && s.cork.slot == i {
		s.cork.history = true
	}
	if rest := s.write(i, c, o.b); len(rest) > 0 {
		o.sent = len(o.b) - len(rest)
		s.enqueue(i, c, o)
	}
}

// write passes b to the kernel unless output is pending already, and returns the remainder to
// queue.
func (s *shard) write(i uint32, c *conn, b []byte) (rest []byte) {
	if taken, ok := s.gatherFor(i, c, b); taken || !ok {
		return nil
	}
	s.unbatch(c)
	if c.phase == phaseGone {
		return nil
	}
	if c.out != 0 {
		return b
	}
	s.touch(i, c)
	n, err := reactor.Write(int(c.fd), b)
	s.stats.bytesOut += uint64(n)
	if err != nil && err != reactor.ErrAgain {
		s.lost(i, c)
		return nil
	}
	return b[n:]
}

// touch is called right before bytes are written to a connection.
func (s *shard) touch(i uint32, c *conn) {
	if s.onWrite != nil {
		s.onWrite(i, c)
	}
}

// enqueue queues the remainder of o.
func (s *shard) enqueue(i uint32, c *conn, o outgoing) {
	if c.phase == phaseGone {
		return
	}
	if kind, lossy := s.lossy(c, &o); lossy {
		s.enqueueEach(i, c, o, kind)
		return
	}
	s.enqueueOne(i, c, &o, nil, 0)
}

// enqueueOne queues an item; from is its origin if it may be dropped.
func (s *shard) enqueueOne(i uint32, c *conn, o *outgoing, from *queue.Origin, kind queue.Kind) {
	if c.out == 0 {
		if !s.watchOut(i, c, true) {
			return
		}
		c.out, _ = s.queues.Open(i, o.sent > 0)
	}
	q := s.queues.At(c.out)
	if from != nil && kind&queue.Latest != 0 {
		s.stats.drops[reasons.DropLatest] += uint64(q.Replace(from.Channel))
	}
	if o.own {
		kind |= queue.Own
	}
	if o.history {
		kind |= queue.History
	}
	q.Add(o.b[o.sent:], cap(o.b), from, kind)
	switch {
	case c.phase == phaseClosing, c.kind == kindEcho:
		return
	case c.phase == phaseOpen:
		s.overflow(i, c, q)
	}
	s.shed()
}

// sendHistory sends messages that a client catches up with, in as few calls as the kernel needs.
// They don't count against the client's queue bound: the client requested them, and their size is
// bounded where they are read.
func (s *shard) sendHistory(i uint32, c *conn, bufs [][]byte) {
	s.unbatch(c)
	if c.phase >= phaseClosing {
		return
	}
	sent := 0 // bytes of the first
	for c.out == 0 && len(bufs) > 0 {
		s.touch(i, c)
		n, err := reactor.Writev(int(c.fd), bufs)
		if err == reactor.ErrAgain {
			break
		}
		if err != nil {
			s.lost(i, c)
			return
		}
		s.stats.bytesOut += uint64(n)
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if sent = n; sent > 0 {
			break
		}
	}
	for _, b := range bufs {
		if len(b) == 0 || c.phase != phaseOpen {
			continue // a gap notice, which bare payloads can't carry
		}
		s.enqueue(i, c, outgoing{b: b, sent: sent, history: true})
		sent = 0
	}
}

// flush writes pending output as far as the kernel takes it.
func (s *shard) flush(i uint32, c *conn) {
	if c.out == 0 {
		return
	}
	q := s.queues.At(c.out)
	for q.Bytes > 0 {
		s.touch(i, c)
		bufs := q.Pending(s.vec[:0])
		n, err := reactor.Writev(int(c.fd), bufs)
		clear(bufs)
		if err == reactor.ErrAgain {
			return
		}
		if err != nil {
			s.lost(i, c)
			return
		}
		q.Sent(n)
		s.stats.bytesOut += uint64(n)
		// Room in the send buffer means that the client's kernel acknowledged bytes.
		s.hear(c)
		switch { // the response may take longer than the remaining time
		case n == 0 || s.drain.reason == reasons.CloseDrain:
		case c.phase == phaseHead:
			s.wheel.Set(i, s.now+ticks(s.cfg.Limits.IdleTimeout))
		case c.phase == phaseClosing:
			s.wheel.Set(i, s.now+ticks(s.lingerTime()))
		}
	}
	s.freeQueue(c)
	if !s.watchOut(i, c, false) {
		return
	}
	switch {
	case c.flags&flagEnding != 0:
		s.shutdown(i, c)
	case c.phase == phaseOpen:
		s.goOn(i)
		s.endHalf(i, c)
	case c.phase == phaseHead && c.in != 0:
		s.corkIt(i)
		s.head(i, c, nil)
		s.uncork(i, c)
		s.endHalf(i, c)
	default:
		s.endHalf(i, c)
	}
}

// freeQueue drops the connection's pending output.
func (s *shard) freeQueue(c *conn) {
	if c.out == 0 {
		return
	}
	s.queues.Free(c.out)
	c.out = 0
}

// watchOut starts or stops watching for room to write. It returns false if the connection was lost
// by that.
func (s *shard) watchOut(i uint32, c *conn, on bool) bool {
	if err := s.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, s.interest(c, on)); err != nil {
		s.log.Error("cannot watch a socket", "err", err)
		s.release(i, c, reasons.CloseInternal)
		return false
	}
	return true
}

// cork gathers the output to a client caused by one read from it. A write takes 5 us: the handshake
// response, the welcome and the confirmed channels would be three, and the responses to pipelined
// requests hundreds.
type cork struct {
	slot    uint32 // of the connection, 0 = none
	bytes   []byte
	history bool // requested by the client, see outgoing
}

// corkBytes is the most that is gathered.
const corkBytes = 16 << 10

// corkIt starts gathering output to the connection. Nothing may block before uncork.
func (s *shard) corkIt(i uint32) {
	s.cork.slot, s.cork.bytes, s.cork.history = i, s.cork.bytes[:0], false
}

// gatherFor adds b to the cork if that is the connection's and has room. Otherwise gathered output
// goes first; ok is false if the connection was closed by that.
func (s *shard) gatherFor(i uint32, c *conn, b []byte) (taken, ok bool) {
	if s.cork.slot != i {
		return false, true
	}
	if len(s.cork.bytes)+len(b) <= corkBytes {
		s.cork.bytes = append(s.cork.bytes, b...)
		return true, true
	}
	phase, history := c.phase, s.cork.history
	s.uncork(i, c)
	if c.phase != phase {
		return false, false
	}
	s.corkIt(i)
	s.cork.history = history
	return false, true
}

// uncork sends the connection's gathered output, if any.
func (s *shard) uncork(i uint32, c *conn) {
	if s.cork.slot != i {
		return
	}
	s.cork.slot = 0
	if len(s.cork.bytes) > 0 {
		s.transmit(i, c, outgoing{b: s.cork.bytes, own: true, history: s.cork.history})
	}
}
