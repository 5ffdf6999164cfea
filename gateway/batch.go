package gateway

import (
	"github.com/pushgate/pushgate/internal/reactor"
)

// IOUring says whether what goes to many clients goes through io_uring.
type IOUring string

const (
	// IOUringAuto uses it where the kernel offers it and nobody forbids it, as
	// the seccomp profile of a container may.
	IOUringAuto IOUring = "auto"
	// IOUringOff writes to each client by a call of its own.
	IOUringOff IOUring = "off"
)

// batch are sends to many clients that go into the kernel with one call: a send
// of 128 B costs 1.7 us of CPU that way and 3.7 us by a call of its own
// (reactor.BenchmarkBatch). It is filled and emptied within one slice of the
// loop's turn. A connection has one send in it at most, and none while
// it has a queue; whoever does anything else with its socket calls unbatch first.
type batch struct {
	ring  *reactor.Batch // nil: there are none, each send is a write
	sends []batchedSend  // in order of the ring's
}

type batchedSend struct {
	outgoing
	slot uint32
}

// openBatches readies the shards' batches where they are wanted and can be had.
func (s *Server) openBatches() {
	if s.live.Load().Socket.IOUring == string(IOUringOff) {
		return
	}
	for _, sh := range s.shards {
		ring, err := reactor.NewBatch()
		if err != nil {
			s.log.Info("io_uring is not available: each client is written to by a system call of its own", "err", err)
			return
		}
		sh.batch.ring = ring
	}
}

func (b *batch) close() {
	if b.ring != nil {
		b.ring.Close()
	}
}

// sendBatched is sendItem by the end of a slice of the loop's turn, together
// with others.
func (s *shard) sendBatched(i uint32, c *conn, o outgoing) {
	b := &s.batch
	if b.ring == nil || c.out != 0 || c.flags&flagBatched != 0 || c.phase >= phaseClosing {
		s.sendItem(i, c, o)
		return
	}
	s.touch(i, c)
	b.ring.Add(int(c.fd), o.b)
	b.sends = append(b.sends, batchedSend{o, i})
	c.flags |= flagBatched
	if b.ring.Full() {
		s.submit()
	}
}

// unbatch empties the batch if a send to the connection is in it.
func (s *shard) unbatch(c *conn) {
	if c.flags&flagBatched != 0 {
		s.submit()
	}
}

// submit empties the batch. What the kernel refuses is queued.
func (s *shard) submit() {
	b := &s.batch
	if len(b.sends) == 0 {
		return
	}
	s.stats.batched += uint64(len(b.sends))
	shorts := b.ring.Submit()
	for n := range b.sends {
		send := &b.sends[n]
		s.stats.bytesOut += uint64(len(send.b))
		s.conns.at(send.slot).flags &^= flagBatched
	}
	// Only now: to queue for one client may end others, which are written to.
	for _, short := range shorts {
		send := &b.sends[short.Index]
		s.stats.bytesOut -= uint64(len(send.b) - short.N)
		c := s.conns.at(send.slot)
		if short.Err != nil && short.Err != reactor.ErrAgain {
			s.lost(send.slot, c)
			continue
		}
		o := send.outgoing
		o.sent = short.N
		s.enqueue(send.slot, c, o)
	}
	clear(b.sends)
	b.sends = b.sends[:0]
}
