package client

import (
	"io"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/reactor"
)

// sockets is a loop's part that reads and writes bytes.
type sockets struct {
	l   *loop
	in  []byte // the bytes of the present read
	out []byte // room for the present write
}

// read reads a client's socket, no more than most bytes, behind the start of a TLS record that
// came before.
func (k *sockets) read(slot uint32, most int) {
	c := &k.l.clients[slot]
	s, held := k.l.heldScratch(slot), 0
	if s != nil {
		held = copy(k.in, s.sealed)
	}
	n, err := reactor.Read(int(c.fd), k.in[held:min(held+most, len(k.in))])
	k.l.now = k.l.engine.Clock.Now()
	switch err {
	case nil:
		k.l.counters.Bytes += uint64(n)
		if k.l.secure.conns != nil {
			if held > 0 {
				s.sealed = s.sealed[:0]
			}
			k.l.decrypt(slot, k.in[:held+n])
			return
		}
		k.l.transport(slot).received(k.l, slot, k.in[:n])
	case reactor.ErrAgain:
	default:
		k.streamEnded(slot, err)
	}
}

// streamEnded takes the end of a client's stream.
func (k *sockets) streamEnded(slot uint32, err error) {
	reason := account.SocketReason(err)
	if reason == account.ReasonCut && k.l.clients[slot].state <= opening {
		reason = account.ReasonEarly
	}
	if err == io.EOF && k.l.kind(slot) == plan.Poll && (poll{}).ended(k.l, slot) || k.l.refuseEnded(slot) {
		return
	}
	k.l.endOfStream(slot, reason)
}

// send writes p to a client. False: the client is gone.
func (k *sockets) send(slot uint32, p []byte) bool {
	k.out = p[:0] // p was built on it and may have grown
	if k.l.secure.conns != nil {
		sealed, err := k.l.secure.conns.Seal(slot, p)
		if err != nil {
			k.l.end(slot, tlsReason(err))
			return false
		}
		p = sealed
	}
	return k.transmit(slot, p)
}

// transmit writes bytes to a client's socket, keeping the bytes that the kernel refuses. False:
// the client is gone.
func (k *sockets) transmit(slot uint32, p []byte) bool {
	c := &k.l.clients[slot]
	if c.flags&wantsOut == 0 {
		n, err := reactor.Write(int(c.fd), p)
		if err != nil && err != reactor.ErrAgain {
			k.l.end(slot, account.SocketReason(err))
			return false
		}
		if n == len(p) {
			return true
		}
		p = p[n:]
	}
	s := k.l.scratch(slot)
	s.out = append(s.out, p...)
	if c.flags&wantsOut == 0 {
		c.flags |= wantsOut
		return k.watch(slot, k.reads(slot)|reactor.Out)
	}
	return true
}

// flush writes the bytes that the kernel refused before. False: the client is gone.
func (k *sockets) flush(slot uint32) bool {
	c := &k.l.clients[slot]
	s := k.l.heldScratch(slot)
	if c.flags&wantsOut == 0 || s == nil {
		return true
	}
	n, err := reactor.Write(int(c.fd), s.out)
	if err != nil && err != reactor.ErrAgain {
		k.l.end(slot, account.SocketReason(err))
		return false
	}
	s.out = append(s.out[:0], s.out[n:]...)
	if len(s.out) > 0 {
		return true
	}
	c.flags &^= wantsOut
	if !k.watch(slot, k.reads(slot)) {
		return false
	}
	k.l.tidy(slot)
	return true
}

// reads are the events that a client's socket is watched for while there is nothing to
// write.
func (k *sockets) reads(slot uint32) reactor.Events {
	if c := &k.l.clients[slot]; k.l.slowReaders.active && c.flags&slow != 0 && c.state == ready {
		return 0
	}
	return reactor.In
}

// watch changes the events that a client's socket is watched for.
func (k *sockets) watch(slot uint32, ev reactor.Events) bool {
	c := &k.l.clients[slot]
	if err := k.l.reactor.Mod(int(c.fd), reactor.Key{Slot: slot, Gen: c.gen}, ev); err != nil {
		k.l.end(slot, account.ReasonUnregistered)
		return false
	}
	return true
}

// closeSocket closes a client's socket and releases its scratch.
func (k *sockets) closeSocket(slot uint32) {
	c := &k.l.clients[slot]
	if k.l.secure.conns != nil {
		k.l.secure.conns.Forget(slot)
	}
	if c.fd >= 0 {
		reactor.CloseFD(int(c.fd))
	}
	k.l.releaseScratch(slot)
	c.fd = -1
}
