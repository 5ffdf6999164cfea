package client

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/chunked"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// clientsPerSource leaves the kernel several free ports to choose from: with
// most of an address's ports taken each connect has to search for one.
const clientsPerSource = 10_000

// Sources is the number of addresses that n clients connect from.
func Sources(n int) int { return n/clientsPerSource + 2 }

// source returns the address that client i connects from.
func source(i, sources int) netip.Addr {
	i %= sources
	return netip.AddrFrom4([4]byte{127, 1, byte(i / 250), byte(1 + i%250)})
}

// phase is the event that a connection waits for.
type phase uint8

const (
	phaseNone     phase = iota // no connection
	phaseConnect               // the kernel to connect
	phaseSecure                // the TLS handshake
	phaseResponse              // the response to the handshake
	phaseOpen                  // its subscriptions to be confirmed
	phaseSettled
)

// conn is one connection. A million of them exist beside the gateway that is
// measured, so it holds no pointer; messages in pieces are in a table.
type conn struct {
	fd        int32
	next      int32  // number of the message that comes next
	gen       uint16 // tells an event for its predecessor in the same batch
	phase     phase
	confirmed uint8 // subscriptions
	coded     bool  // its event stream is chunked
	bye       bool  // the server has said goodbye
}

// partial is the part of a response or a message that has come.
type partial struct {
	frames wsframe.Reader  // of a WebSocket
	chunks chunked.Decoder // of an event stream
	bytes  []byte
}

// part returns a client's partial message, the spare one where it has none.
func (c *Clients) part(slot uint32) *partial {
	if held := c.partial[slot]; held != nil {
		return held
	}
	*c.spare = partial{frames: c.fresh}
	return c.spare
}

// keep keeps what part has returned only in the middle of a message.
func (c *Clients) keep(slot uint32, held *partial, whole bool) {
	switch {
	case held == c.spare && !whole:
		c.partial[slot], c.spare = held, new(partial)
	case held != c.spare && whole:
		delete(c.partial, slot)
	}
}

var (
	headEnd     = []byte("\r\n\r\n")
	upgraded    = []byte("HTTP/1.1 101 ")
	streams     = []byte("HTTP/1.1 200 ")
	chunkedLine = []byte("\r\ntransfer-encoding: chunked\r\n")
)

// hangUp closes a client's connection.
func (c *Clients) hangUp(slot uint32) {
	cn := &c.conns[slot]
	if cn.phase == phaseNone {
		return
	}
	reactor.CloseFD(int(cn.fd))
	if cn.phase == phaseSettled {
		c.Settled--
	} else {
		c.pending--
	}
	cn.phase = phaseNone
	delete(c.partial, slot)
	c.forget(slot)
}

// dial starts a connection.
func (c *Clients) dial(slot uint32) {
	cn := &c.conns[slot]
	fd, err := reactor.Connect(source(int(slot), Sources(len(c.conns))), c.o.Remote, reactor.DialOptions{})
	if err != nil {
		c.Fail(fmt.Errorf("client %d: %w", slot, err))
		return
	}
	*cn = conn{fd: int32(fd), next: cn.next, gen: cn.gen + 1, phase: phaseConnect}
	c.pending++
	events := reactor.Out
	if c.o.AtOnce {
		if err = c.begin(slot, cn); err == nil {
			events = reactor.In
		} else if err != reactor.ErrAgain {
			c.Fail(fmt.Errorf("client %d: %w", slot, err))
			return
		}
	}
	if err := c.loop.Add(fd, reactor.Key{Slot: slot, Gen: uint32(cn.gen)}, events); err != nil {
		c.Fail(fmt.Errorf("client %d: %w", slot, err))
	}
}

func (c *Clients) request(slot uint32, cn *conn) error {
	if err := c.send(slot, c.o.Request(slot)); err != nil {
		return err
	}
	cn.phase = phaseResponse
	return nil
}

// write hands all of p to the kernel, which always fits into an empty buffer.
func (cn *conn) write(p []byte) error {
	n, err := reactor.Write(int(cn.fd), p)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d of %d bytes taken", n, len(p))
	}
	return err
}

// SendAll has each client send a text.
func (c *Clients) SendAll(text string) {
	for slot := range c.conns {
		if err := c.frame(uint32(slot), ws.OpText, []byte(text)); err != nil {
			c.Fail(err)
		}
	}
}

// frame sends a frame to the server.
func (c *Clients) frame(slot uint32, op ws.OpCode, payload []byte) error {
	c.out = wsframe.AppendMasked(c.out[:0], op, payload, [4]byte{1, 2, 3, 4})
	if err := c.send(slot, c.out); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Ready reads one client's socket.
func (c *Clients) Ready(k reactor.Key, _ reactor.Events) {
	cn := &c.conns[k.Slot]
	if uint32(cn.gen) != k.Gen || cn.phase == phaseNone {
		return
	}
	if err := c.step(k.Slot, cn); err != nil {
		c.ended(k.Slot, err)
		c.hangUp(k.Slot)
	}
}

func (c *Clients) step(slot uint32, cn *conn) error {
	if cn.phase == phaseConnect {
		if err := reactor.SocketError(int(cn.fd)); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if err := c.begin(slot, cn); err != nil {
			return err
		}
		return c.loop.Mod(int(cn.fd), reactor.Key{Slot: slot, Gen: uint32(cn.gen)}, reactor.In)
	}
	held := copy(c.in[:], c.sealed[slot])
	n, err := reactor.Read(int(cn.fd), c.in[held:])
	if err == reactor.ErrAgain {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	c.Heard = time.Now()
	p := c.in[:held+n]
	if c.tls != nil {
		if p, err = c.decrypt(slot, cn, p); err != nil || len(p) == 0 {
			return err
		}
	}
	if cn.phase == phaseResponse {
		if p, err = c.response(slot, cn, p); err != nil {
			return err
		}
	}
	if c.o.Events {
		return c.events(slot, cn, p)
	}
	return c.frames(slot, cn, p)
}

// response reads the response to the handshake and returns the rest.
func (c *Clients) response(slot uint32, cn *conn, p []byte) (rest []byte, err error) {
	if held := c.partial[slot]; held != nil {
		p = append(held.bytes, p...)
		delete(c.partial, slot)
	}
	end := bytes.Index(p, headEnd)
	if end < 0 {
		c.partial[slot] = &partial{bytes: bytes.Clone(p)}
		return nil, nil
	}
	want := upgraded
	if c.o.Events {
		want = streams
		cn.coded = bytes.Contains(bytes.ToLower(p[:end+len(headEnd)]), chunkedLine)
	}
	if !bytes.HasPrefix(p, want) {
		return nil, fmt.Errorf("handshake answered by %q", p)
	}
	cn.phase = phaseOpen
	return p[end+len(headEnd):], c.opened(slot)
}
