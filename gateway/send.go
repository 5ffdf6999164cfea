package gateway

import (
	"bytes"

	"pushgate/internal/reactor"
)

// send writes b to the client and queues what the kernel refuses, as a
// reference: b must not change any more. It may close the connection.
func (s *shard) send(i uint32, c *conn, b []byte) {
	if rest := s.write(i, c, b); len(rest) > 0 {
		s.enqueue(i, c, rest, len(rest) < len(b))
	}
}

// sendCopy is send for bytes that the caller goes on using.
func (s *shard) sendCopy(i uint32, c *conn, b []byte) {
	if rest := s.write(i, c, b); len(rest) > 0 {
		s.enqueue(i, c, bytes.Clone(rest), len(rest) < len(b))
	}
}

// write hands b to the kernel where nothing is queued before it, and returns
// what has to be queued.
func (s *shard) write(i uint32, c *conn, b []byte) (rest []byte) {
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

// enqueue queues b; begun says that bytes before it, which belong to it, are
// sent already.
func (s *shard) enqueue(i uint32, c *conn, b []byte, begun bool) {
	if c.out == 0 {
		if !s.watchOut(i, c, true) {
			return
		}
		c.out, _ = s.queues.take()
		s.queues.at(c.out).begun = begun
	}
	q := s.queues.at(c.out)
	q.add(b)
	s.stats.queueBytes += int64(len(b))
	if c.phase == phaseOpen && q.bytes > s.srv.cfg.Limits.QueueBytes+q.history {
		s.end(i, c, CloseSlow)
	}
}

// sendHistory sends what a client asked to catch up with, in as few calls as
// the kernel needs. It doesn't count against the client's queue bound: the
// client asked for it, and its size is bounded where it is read.
func (s *shard) sendHistory(i uint32, c *conn, bufs [][]byte) {
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
		if c.out != 0 {
			s.queues.at(c.out).history += len(b)
			s.enqueue(i, c, b, false)
			continue
		}
		s.enqueue(i, c, b, begun)
		if c.gen != gen {
			return
		}
		s.queues.at(c.out).history += len(b)
	}
}

// flush sends what is queued as far as the kernel takes it.
func (s *shard) flush(i uint32, c *conn) {
	if c.out == 0 {
		return
	}
	q := s.queues.at(c.out)
	for q.bytes > 0 {
		n, err := reactor.Writev(int(c.fd), q.pending())
		if err == reactor.ErrAgain {
			return
		}
		if err != nil {
			s.lost(i, c)
			return
		}
		q.sent(n)
		s.stats.bytesOut += uint64(n)
		s.stats.queueBytes -= int64(n)
		// Room in the send buffer means that the client acknowledged bytes.
		s.hear(c)
	}
	s.freeQueue(c)
	if !s.watchOut(i, c, false) {
		return
	}
	switch {
	case c.flags&flagEnding != 0:
		s.shutdown(i, c)
	case c.phase == phaseHead && c.in != 0:
		s.head(i, c, nil)
	}
}

// freeQueue forgets what is queued.
func (s *shard) freeQueue(c *conn) {
	if c.out == 0 {
		return
	}
	q := s.queues.at(c.out)
	s.stats.queueBytes -= int64(q.bytes)
	q.reset()
	s.queues.put(c.out)
	c.out = 0
}

// watchOut starts or ends the wait for room to write. False: the connection
// was lost over it.
func (s *shard) watchOut(i uint32, c *conn, on bool) bool {
	ev := reactor.In
	if on {
		ev |= reactor.Out
	}
	if err := s.loop.Mod(int(c.fd), reactor.Key{Slot: i, Gen: c.gen}, ev); err != nil {
		s.log.Error("cannot watch a socket", "err", err)
		s.release(i, c, CloseInternal)
		return false
	}
	return true
}
