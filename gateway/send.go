package gateway

import (
	"bytes"

	"pushgate/internal/reactor"
)

// send writes b to the client and queues what the kernel refuses, as a
// reference: b must not change any more. It may close the connection.
func (s *shard) send(i uint32, c *conn, b []byte) { s.sendItem(i, c, queued{b: b}) }

// sendEach sends buffers one behind the other, for as long as the connection lasts.
func (s *shard) sendEach(i uint32, c *conn, bufs [][]byte) {
	gen := c.gen
	for _, b := range bufs {
		if c.gen == gen && len(b) > 0 {
			s.send(i, c, b)
		}
	}
}

// sendCopy is send for bytes that the caller goes on using.
func (s *shard) sendCopy(i uint32, c *conn, b []byte) {
	if rest := s.write(i, c, b); len(rest) > 0 {
		s.enqueue(i, c, queued{b: bytes.Clone(rest), own: true}, len(rest) < len(b))
	}
}

// sendItem is send for something that may be dropped while it waits.
func (s *shard) sendItem(i uint32, c *conn, it queued) {
	if rest := s.write(i, c, it.b); len(rest) > 0 {
		begun := len(rest) < len(it.b)
		it.b = rest
		s.enqueue(i, c, it, begun)
	}
}

// write hands b to the kernel where nothing is queued before it, and returns
// what has to be queued.
func (s *shard) write(i uint32, c *conn, b []byte) (rest []byte) {
	if s.cork.slot == i {
		s.cork.bytes = append(s.cork.bytes, b...)
		return nil
	}
	if !s.unbatch(c) {
		return nil
	}
	if c.out != 0 {
		return b
	}
	n, err := reactor.Write(int(c.fd), b)
	s.stats.bytesOut += uint64(n)
	if err != nil && err != reactor.ErrAgain {
		s.lost(i, c)
		return nil
	}
	return b[n:]
}

// enqueue queues an item; begun says that bytes before it, which belong to it,
// are sent already.
func (s *shard) enqueue(i uint32, c *conn, it queued, begun bool) {
	if s.single(c, &it) {
		s.enqueueEach(i, c, it, begun)
		return
	}
	if c.out == 0 {
		if !s.watchOut(i, c, true) {
			return
		}
		var q *queue
		c.out, q = s.queues.take()
		q.begun, q.owner, q.tally = begun, i, &s.tally
	}
	q := s.queues.at(c.out)
	s.supersede(q, it.from)
	if it.history {
		q.history += len(it.b)
	}
	q.add(it)
	gen := c.gen
	switch {
	case c.phase == phaseClosing, c.kind == kindEcho:
		return
	case c.phase == phaseOpen:
		s.overflow(i, c, q)
	}
	if c.gen == gen {
		s.shed()
	}
}

// sendHistory sends what a client asked to catch up with, in as few calls as
// the kernel needs. It doesn't count against the client's queue bound: the
// client asked for it, and its size is bounded where it is read.
func (s *shard) sendHistory(i uint32, c *conn, bufs [][]byte) {
	if !s.unbatch(c) {
		return
	}
	begun := false
	for c.out == 0 && len(bufs) > 0 {
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
		if begun = n > 0; begun {
			bufs[0] = bufs[0][n:]
		}
	}
	gen := c.gen
	for _, b := range bufs {
		if len(b) == 0 {
			continue // a gap, where bare payloads leave no room for it
		}
		s.enqueue(i, c, queued{b: b, history: true}, begun)
		if c.gen != gen || c.phase != phaseOpen {
			return
		}
		begun = false
	}
}

// flush sends what is queued as far as the kernel takes it.
func (s *shard) flush(i uint32, c *conn) {
	if c.out == 0 {
		return
	}
	q := s.queues.at(c.out)
	for q.bytes > 0 {
		bufs := q.pending(s.vec[:0])
		n, err := reactor.Writev(int(c.fd), bufs)
		clear(bufs)
		if err == reactor.ErrAgain {
			return
		}
		if err != nil {
			s.lost(i, c)
			return
		}
		q.sent(n)
		s.stats.bytesOut += uint64(n)
		// Room in the send buffer means that the client acknowledged bytes.
		s.hear(c)
		switch { // an answer may take longer than the time that is left behind it
		case n == 0 || s.drain.reason == CloseDrain:
		case c.phase == phaseHead && c.in == 0:
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
	case c.phase == phaseHead && c.in != 0:
		gen := c.gen
		if s.head(i, c, nil); c.gen == gen {
			s.endHalf(i, c)
		}
	default:
		s.endHalf(i, c)
	}
}

// freeQueue forgets what is queued.
func (s *shard) freeQueue(c *conn) {
	if c.out == 0 {
		return
	}
	s.queues.at(c.out).reset()
	s.queues.put(c.out)
	c.out = 0
}

// watchOut starts or ends the wait for room to write. False: the connection
// was lost over it.
func (s *shard) watchOut(i uint32, c *conn, on bool) bool {
	ev := reactor.In
	if c.flags&flagHalf != 0 {
		ev = reactor.Half
	}
	switch {
	case on && c.kind == kindEcho:
		ev = reactor.Out // what is read would only be queued as well
	case on:
		ev |= reactor.Out
	}
	if err := s.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, ev); err != nil {
		s.log.Error("cannot watch a socket", "err", err)
		s.release(i, c, CloseInternal)
		return false
	}
	return true
}
