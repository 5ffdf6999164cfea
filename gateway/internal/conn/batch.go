package conn

import (
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// batch holds sends to many clients that enter the kernel with one call: a send of 128 B costs 1.7
// us of CPU that way and 3.7 us by its own call (reactor.BenchmarkBatch). It is filled and emptied
// within one slice of the loop's turn. A connection has at most one send in it, and none while it
// has a queue; any other use of its socket calls unbatch first.
type batch struct {
	ring   *reactor.Batch // nil: no batching, each send is a write
	sends  []batchedSend  // in the ring's order
	sealed []byte         // records of the sends over TLS; never moved while there are any
}

type batchedSend struct {
	Out
	slot   uint32
	record []byte // in sealed; nil without TLS
}

// batchedRecords is the room for sealed records, for 64 of 4 KiB; larger output isn't batched.
const batchedRecords = 256 << 10

// UseBatches has sends to many clients go through io_uring, or returns why they can't.
func (w *Output) UseBatches() error {
	ring, err := reactor.NewBatch()
	if err != nil {
		return err
	}
	w.batch.ring = ring
	return nil
}

func (b *batch) close() {
	if b.ring != nil {
		b.ring.Close()
	}
}

// SendBatched is Send deferred to the end of the current slice of the loop's turn, together with
// others.
func (w *Output) SendBatched(i uint32, o Out) {
	b, c := &w.batch, w.set.Slots.at(i)
	if b.ring == nil || c.out != 0 || c.flags&flagBatched != 0 || c.state != stateOpen {
		w.Send(i, o)
		return
	}
	if c.flags&flagSecure != 0 {
		w.batchSealed(i, c, o)
		return
	}
	w.touch(i)
	w.add(i, c, o, nil)
}

// batchSealed is SendBatched over TLS.
func (w *Output) batchSealed(i uint32, c *socket, o Out) {
	const overhead = 2 * tlsrecord.MaxOverhead // of a key update as well
	b := &w.batch
	if len(o.Bytes) > batchedRecords/reactor.BatchSize-overhead || c.flags&flagShaking != 0 {
		w.Send(i, o)
		return
	}
	if b.sealed == nil {
		b.sealed = make([]byte, 0, batchedRecords)
	}
	w.touch(i)
	w.one[0] = o.Bytes
	start := len(b.sealed)
	sealed, _, err := w.set.Secure.appendRecord(b.sealed, i, w.one[:], 0)
	if w.one[0] = nil; err != nil {
		w.set.lost(i, c)
		return
	}
	b.sealed = sealed
	w.add(i, c, o, sealed[start:])
}

// add adds a send to the batch, which record is to be sent for if it's over TLS.
func (w *Output) add(i uint32, c *socket, o Out, record []byte) {
	b := &w.batch
	w.addToRing(c, o.Bytes, record)
	b.sends = append(b.sends, batchedSend{o, i, record})
	c.flags |= flagBatched
	if b.ring.Full() {
		w.Submit()
	}
}

// unbatch empties the batch if a send to the connection is in it.
func (w *Output) unbatch(c *socket) {
	if c.flags&flagBatched != 0 {
		w.Submit()
	}
}

// Submit empties the batch and queues the remainder of short sends.
func (w *Output) Submit() {
	b := &w.batch
	if len(b.sends) == 0 {
		return
	}
	w.set.stats.Batched += uint64(len(b.sends))
	shorts := b.ring.Submit()
	for n := range b.sends {
		send := &b.sends[n]
		w.set.stats.BytesOut += uint64(max(len(send.Bytes), len(send.record)))
		w.set.Slots.at(send.slot).flags &^= flagBatched
	}
	// Only now: queueing for one client may close others, which writes to them.
	for _, short := range shorts {
		send := &b.sends[short.Index]
		w.set.stats.BytesOut -= uint64(max(len(send.Bytes), len(send.record)) - short.N)
		c := w.set.Slots.at(send.slot)
		if short.Err != nil && short.Err != reactor.ErrAgain {
			w.set.lost(send.slot, c)
			continue
		}
		if send.record != nil {
			if c.state != stateGone {
				_ = w.keepRaw(send.slot, c, send.record[short.N:]) // ErrAgain
				w.set.shed()
			}
			continue
		}
		o := send.Out
		o.sent = short.N
		w.enqueue(send.slot, c, o)
	}
	clear(b.sends)
	b.sends, b.sealed = b.sends[:0], b.sealed[:0]
}
