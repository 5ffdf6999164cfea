package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// This file is the one door to the sockets of connections: no other calls the kernel to read from
// them or to write to them. So nothing above it can write past TLS.

// receive reads from a connection into buf, which is at the front of the set's read buffer. For a
// connection with the start of a TLS record it leaves room for that in front, and reads no more than
// buf would hold with it, or the record.
func (s *Set) receive(i uint32, c *socket, buf []byte) ([]byte, error) {
	if c.flags&flagPartial != 0 {
		kept := s.Secure.partials.Get(i).buf
		whole, _ := tlsrecord.RecordSize(kept) // 0 before the header is whole
		buf = s.rbuf[len(kept):max(len(buf), whole, len(kept)+1)]
	}
	n, err := reactor.Read(int(c.fd), buf)
	if err != nil {
		return nil, err
	}
	s.stats.BytesIn += uint64(n)
	if c.flags&(flagSecure|flagShaking) != flagSecure { // else a whole record is the sign of life
		s.hear(c)
	}
	return buf[:n], nil
}

// put writes bytes to a connection and returns how many of them are done with: taken by the kernel,
// or sealed.
func (w *Output) put(i uint32, c *socket, b []byte) (n int, err error) {
	if c.flags&flagSecure != 0 {
		w.one[0] = b
		n, err = w.putSealed(i, c, w.one[:], false)
		w.one[0] = nil
		return n, err
	}
	n, err = reactor.Write(int(c.fd), b)
	w.set.stats.BytesOut += uint64(n)
	return n, err
}

// putAll is put of several buffers; last says that nothing follows them.
func (w *Output) putAll(i uint32, c *socket, bufs [][]byte, last bool) (n int, err error) {
	if c.flags&flagSecure != 0 {
		return w.putSealed(i, c, bufs, last)
	}
	n, err = reactor.Writev(int(c.fd), bufs)
	w.set.stats.BytesOut += uint64(n)
	return n, err
}

// putQueued is put of a connection's queue.
func (w *Output) putQueued(i uint32, c *socket, q *queue.Queue) (n int, err error) {
	if front := q.Front(); len(front) > 0 {
		n, err = reactor.Write(int(c.fd), front)
		w.set.stats.BytesOut += uint64(n)
		q.SentFront(n)
		return n, err
	}
	bufs := q.Pending(w.vec[:0])
	n, err = w.putAll(i, c, bufs, c.flags&flagEnding != 0 && size(bufs) == q.Bytes)
	clear(bufs)
	q.Sent(n)
	return n, err
}

func size(bufs [][]byte) (n int) {
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

// putSealed is putAll for TLS. It seals as much as the kernel takes. Before the handshake is complete
// nobody could read the bytes: they are dropped.
func (w *Output) putSealed(i uint32, c *socket, bufs [][]byte, last bool) (n int, err error) {
	left := size(bufs)
	if c.flags&flagShaking != 0 {
		return left, nil
	}
	for left > 0 {
		record, k, err := w.set.Secure.seal(i, bufs, n, last)
		if err != nil {
			return n, err
		}
		n, left = n+k, left-k
		if err := w.putRaw(i, c, record); err != nil {
			return n, err
		}
	}
	return n, nil
}

// putRaw writes bytes of the TLS layer: sealed records, or a handshake's. It queues the rest that the
// kernel refuses before all else, because its numbers are used up, and returns ErrAgain then.
func (w *Output) putRaw(i uint32, c *socket, b []byte) error {
	n := 0
	if c.out == 0 || len(w.queues.At(c.out).Front()) == 0 {
		var err error
		n, err = reactor.Write(int(c.fd), b)
		w.set.stats.BytesOut += uint64(n)
		if err != nil && err != reactor.ErrAgain {
			return err
		}
	}
	return w.keepRaw(i, c, b[n:])
}

// keepRaw queues bytes of the TLS layer that the kernel has refused.
func (w *Output) keepRaw(i uint32, c *socket, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if c.state == stateGone {
		return reactor.ErrAgain
	}
	if c.out == 0 && !w.open(i, c) {
		return reactor.ErrAgain
	}
	w.queues.At(c.out).AddFront(b)
	return reactor.ErrAgain
}

// addToRing adds output to the batch's ring, or the record that it's sealed in if it's over TLS.
func (w *Output) addToRing(c *socket, b, record []byte) {
	if c.flags&flagSecure != 0 {
		b = record
	}
	w.batch.ring.Add(int(c.fd), b)
}
