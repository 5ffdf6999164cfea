package gateway

import (
	"github.com/pushgate/pushgate/internal/reactor"
)

// IOUring selects whether sends to many clients go through io_uring.
type IOUring string

const (
	// IOUringAuto uses it where the kernel offers it and nothing forbids it, as the seccomp profile
	// of a container may.
	IOUringAuto IOUring = "auto"
	// IOUringOff writes to each client with its own system call.
	IOUringOff IOUring = "off"
)

// batch holds sends to many clients that enter the kernel with one call: a send of 128 B costs 1.7
// us of CPU that way and 3.7 us by its own call (reactor.BenchmarkBatch). It is filled and emptied
// within one slice of the loop's turn. A connection has at most one send in it, and none while it
// has a queue; any other use of its socket calls unbatch first.
type batch struct {
	ring  *reactor.Batch // nil: no batching, each send is a write
	sends []batchedSend  // in the ring's order
}

type batchedSend struct {
	outgoing
	slot uint32
}

// openBatches sets up the shards' batches where they are configured and available.
func (s *Server) openBatches() {
	if s.live.Load().Socket.IOUring == string(IOUringOff) {
		return
	}
	for _, sh := range s.shards {
		ring, err := reactor.NewBatch()
		if err != nil {
			s.log.Info("io_uring is not available: writing to each client with its own system call", "err", err)
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

// sendBatched is sendItem deferred to the end of the current slice of the loop's turn, together
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

// submit empties the batch and queues the remainder of short sends.
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
	// Only now: queueing for one client may close others, which writes to them.
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
