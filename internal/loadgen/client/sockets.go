package client

import (
	"io"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/reactor"
)

// sockets is a loop's part that reads and writes bytes.
type sockets struct {
	in  []byte // the bytes of the present read
	out []byte // room for the present write
}

// read reads a client's socket, no more than most bytes.
func (l *loop) read(slot uint32, most int) {
	c := &l.clients[slot]
	n, err := reactor.Read(int(c.fd), l.in[:most])
	l.now = l.engine.Clock.Now()
	switch err {
	case nil:
		l.counters.Bytes += uint64(n)
		if l.secure.config != nil {
			l.decrypt(slot, l.in[:n])
			return
		}
		l.transport(slot).received(l, slot, l.in[:n])
	case reactor.ErrAgain:
	default:
		l.streamEnded(slot, err)
	}
}

// streamEnded takes the end of a client's stream.
func (l *loop) streamEnded(slot uint32, err error) {
	reason := account.SocketReason(err)
	if reason == account.ReasonCut && l.clients[slot].state <= opening {
		reason = account.ReasonEarly
	}
	if err == io.EOF && l.kind(slot) == plan.Poll && (poll{}).ended(l, slot) || l.refuseEnded(slot) {
		return
	}
	l.endOfStream(slot, reason)
}

// send writes p to a client. False: the client is gone.
func (l *loop) send(slot uint32, p []byte) bool {
	l.out = p[:0] // p was built on it and may have grown
	if l.secure.config != nil {
		p = l.encrypt(slot, p)
	}
	return l.transmit(slot, p)
}

// transmit writes bytes to a client's socket, keeping the bytes that the kernel refuses. False:
// the client is gone.
func (l *loop) transmit(slot uint32, p []byte) bool {
	c := &l.clients[slot]
	if c.flags&wantsOut == 0 {
		n, err := reactor.Write(int(c.fd), p)
		if err != nil && err != reactor.ErrAgain {
			l.end(slot, account.SocketReason(err))
			return false
		}
		if n == len(p) {
			return true
		}
		p = p[n:]
	}
	s := l.scratch(slot)
	s.out = append(s.out, p...)
	if c.flags&wantsOut == 0 {
		c.flags |= wantsOut
		return l.watch(slot, l.reads(slot)|reactor.Out)
	}
	return true
}

// flush writes the bytes that the kernel refused before. False: the client is gone.
func (l *loop) flush(slot uint32) bool {
	c := &l.clients[slot]
	s := l.heldScratch(slot)
	if c.flags&wantsOut == 0 || s == nil {
		return true
	}
	n, err := reactor.Write(int(c.fd), s.out)
	if err != nil && err != reactor.ErrAgain {
		l.end(slot, account.SocketReason(err))
		return false
	}
	s.out = append(s.out[:0], s.out[n:]...)
	if len(s.out) > 0 {
		return true
	}
	c.flags &^= wantsOut
	if !l.watch(slot, l.reads(slot)) {
		return false
	}
	l.tidy(slot)
	return true
}

// reads are the events that a client's socket is watched for while there is nothing to
// write.
func (l *loop) reads(slot uint32) reactor.Events {
	if c := &l.clients[slot]; l.slowReaders.active && c.flags&slow != 0 && c.state == ready {
		return 0
	}
	return reactor.In
}

// watch changes the events that a client's socket is watched for.
func (l *loop) watch(slot uint32, ev reactor.Events) bool {
	c := &l.clients[slot]
	if err := l.reactor.Mod(int(c.fd), reactor.Key{Slot: slot, Gen: c.gen}, ev); err != nil {
		l.end(slot, account.ReasonUnregistered)
		return false
	}
	return true
}

// closeSocket closes a client's socket and releases its scratch.
func (l *loop) closeSocket(slot uint32) {
	c := &l.clients[slot]
	if l.secure.config != nil {
		l.dropTLS(slot)
	}
	if c.fd >= 0 {
		reactor.CloseFD(int(c.fd))
	}
	l.releaseScratch(slot)
	c.fd = -1
}
