package conn

import (
	"io"
	"sync"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// Secure is the TLS layer of a loop's connections, between the socket and all that is above. After
// the handshake a connection costs a State, which is kept by slot, and nothing else.
type Secure struct {
	set    *Set
	layer  tlsrecord.Layer
	states slab.Sparse[tlsrecord.State]
	wides  slab.ByKey[tlsrecord.Wide]
	sealed []byte // the latest record, reused

	subjects map[uint32]string // of the clients' certificates, by slot

	partials       slab.ByKey[partial]
	oldest, newest uint32 // of them, by slot; 0 = none

	handshakes map[uint32]*handshake // in flight, by slot
	workers    sync.WaitGroup        // goroutines of handshakes
}

// seal returns a record with the bytes of bufs behind the first skip, and how many there are in it;
// it is valid until the next one. last has the end of the stream follow the last byte.
func (t *Secure) seal(i uint32, bufs [][]byte, skip int, last bool) (record []byte, n int, err error) {
	record, n, err = t.appendRecord(t.sealed[:0], i, bufs, skip)
	if err == nil && last && skip+n == size(bufs) {
		record, err = t.layer.AppendClose(record, t.states.At(i), t.wides.Get(i))
	}
	t.sealed = record
	return record, n, err
}

// appendRecord appends such a record to dst.
func (t *Secure) appendRecord(dst []byte, i uint32, bufs [][]byte, skip int) ([]byte, int, error) {
	return t.layer.AppendData(dst, t.states.At(i), t.wides.Get(i), bufs, skip)
}

// open takes received bytes of a connection and passes their data on.
func (t *Secure) open(i uint32, c *socket, p []byte) {
	before := 0
	if c.flags&flagPartial != 0 {
		kept := t.partials.Get(i)
		before = len(kept.buf)
		if need, err := tlsrecord.RecordSize(kept.buf); err == nil && before+len(p) < need {
			t.keep(i, c, p)
			return
		}
		p = t.set.rbuf[:before+copy(t.set.rbuf[before:], p)] // where receive has left room
		copy(p, kept.buf)
	}
	data, rest, err := t.layer.Receive(p, t.states.At(i), t.wides.Get(i))
	if len(rest) < len(p) {
		t.freePartial(i, c)
		t.set.hear(c)
		before = 0
	}
	if len(rest) > before && err == nil {
		t.keep(i, c, rest[before:])
	}
	if len(data) > 0 {
		c.flags &^= flagSilent
	}
	switch {
	case len(data) == 0:
	case c.flags&flagRejected != 0:
		t.set.Acceptor.respondTLS(i, data, false)
	default:
		t.set.handler.Received(i, data)
	}
	if c.state != stateOpen {
		return
	}
	switch err := err.(type) {
	case nil:
		t.sendOwed(i, c)
	case tlsrecord.Alert:
		t.refuse(i, c, err)
	case tlsrecord.PeerAlert:
		t.count(reasons.TLSPeerAlert)
		t.set.release(i, c, reasons.CloseTLS)
	default: // io.EOF
		t.set.Out.Uncork(i) // what its data has caused isn't the end's
		idle := c.out == 0
		t.set.Reading.end(i, c)
		if idle && c.state == stateGone { // RFC 8446, 6.1: it is answered; the descriptor is ours until Reap
			t.notify(i, c)
		}
	}
}

// sendOwed sends the key update that a client has requested, unless one follows with queued output.
func (t *Secure) sendOwed(i uint32, c *socket) {
	if c.flags&(flagSecure|flagShaking) != flagSecure || c.state != stateOpen || c.out != 0 || !t.states.At(i).Owes() {
		return
	}
	t.set.Out.unbatch(c)
	record, err := t.layer.AppendOwed(t.sealed[:0], t.states.At(i), t.wides.Get(i))
	t.sealed = record
	t.putLast(i, c, record, err)
}

// notify ends a connection's stream of records, and reports whether that was sent or need not be.
func (t *Secure) notify(i uint32, c *socket) bool {
	if c.flags&(flagSecure|flagShaking) != flagSecure || t.states.At(i).Closed() {
		return true
	}
	record, err := t.layer.AppendClose(t.sealed[:0], t.states.At(i), t.wides.Get(i))
	t.sealed = record
	t.putLast(i, c, record, err)
	return c.out == 0 && c.state != stateGone
}

// refuse closes a connection whose client has sent a record against the protocol.
func (t *Secure) refuse(i uint32, c *socket, a tlsrecord.Alert) {
	t.count(reasons.TLSRecord)
	t.set.Out.Uncork(i)
	t.set.Out.unbatch(c)
	if c.state != stateOpen {
		return
	}
	if c.out != 0 { // the alert would have to wait until the client has read
		t.set.release(i, c, reasons.CloseTLS)
		return
	}
	record, err := t.layer.AppendAlert(t.sealed[:0], t.states.At(i), t.wides.Get(i), a)
	t.sealed = record
	if t.putLast(i, c, record, err); c.state == stateOpen {
		t.set.Finish(i, reasons.CloseTLS)
	}
}

// putLast sends a record of the layer's own.
func (t *Secure) putLast(i uint32, c *socket, record []byte, err error) {
	if err == nil {
		t.set.Out.touch(i)
		err = t.set.Out.putRaw(i, c, record)
	}
	if err != nil && err != reactor.ErrAgain {
		if c.flags&flagShaking != 0 && c.state == stateOpen {
			t.count(reasons.TLSLeft)
		}
		t.set.lost(i, c)
	}
}

// reap frees what a closed connection doesn't need any more.
func (t *Secure) reap(i uint32) {
	c := t.set.Slots.at(i)
	t.freePartial(i, c)
	if h := t.handshakes[i]; h != nil {
		h.end(io.ErrUnexpectedEOF)
		delete(t.handshakes, i) // the slot's next connection has its own
	}
}

// forget frees the keys of a connection.
func (t *Secure) forget(i uint32, c *socket) {
	if c.flags&flagSecure != 0 {
		t.states.Clear(i)
		if w := t.wides.Get(i); w != nil {
			*w = tlsrecord.Wide{}
			t.wides.Free(i)
		}
		delete(t.subjects, i)
	}
}

// Subject returns the common name in the verified certificate of a connection's client, empty where
// none is required.
func (t *Secure) Subject(i uint32) string { return t.subjects[i] }

// count counts a failure.
func (t *Secure) count(reason reasons.TLS) { t.set.stats.TLSFailures[reason]++ }
