package rig

import (
	"bytes"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/chunked"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// phase says what a connection waits for.
type phase uint8

const (
	phaseNone    phase = iota // no connection
	phaseConnect              // the kernel to connect
	phaseAnswer               // the answer to the handshake
	phaseOpen                 // the owner to settle it
	phaseSettled
)

// conn is one connection. A million of them exist beside the gateway that is
// measured, so it holds no pointer; what comes in pieces is in a table.
type conn struct {
	fd    int32
	gen   uint16 // tells an event for its predecessor in the same batch
	phase phase
	coded bool // its event stream is chunked
}

// partial is what is held of an answer or a message under way.
type partial struct {
	frames wsframe.Reader  // of a WebSocket
	chunks chunked.Decoder // of an event stream
	bytes  []byte
}

// borrow returns what is held of a client, or fresh where nothing is.
func (c *Clients) borrow(slot uint32, fresh *partial) *partial {
	if held := c.partial[slot]; held != nil {
		return held
	}
	return fresh
}

// giveBack keeps what was borrowed only in the middle of something.
func (c *Clients) giveBack(slot uint32, held, fresh *partial, whole bool) {
	switch {
	case held == fresh && !whole:
		kept := *fresh
		c.partial[slot] = &kept
	case held != fresh && whole:
		delete(c.partial, slot)
	}
}

// Closed is the error of a connection that the server closed in order.
type Closed struct {
	Code   ws.StatusCode
	Reason string
}

func (c *Closed) Error() string { return fmt.Sprintf("closed by the server: %d %q", c.Code, c.Reason) }

var (
	headEnd     = []byte("\r\n\r\n")
	upgraded    = []byte("HTTP/1.1 101 ")
	streams     = []byte("HTTP/1.1 200 ")
	chunkedLine = []byte("\r\ntransfer-encoding: chunked\r\n")
)

// Dial has a client connect as soon as few enough are under way.
func (c *Clients) Dial(slot uint32) { c.queue = append(c.queue, slot) }

// Settle says that a client has come as far as it should, and that another may
// begin.
func (c *Clients) Settle(slot uint32) {
	c.conns[slot].phase = phaseSettled
	c.pending--
	c.Settled++
}

// HangUp closes a client's connection.
func (c *Clients) HangUp(slot uint32) {
	cn := &c.conns[slot]
	reactor.CloseFD(int(cn.fd))
	if cn.phase == phaseSettled {
		c.Settled--
	} else {
		c.pending--
	}
	cn.phase = phaseNone
	delete(c.partial, slot)
}

// dial starts a connection.
func (c *Clients) dial(slot uint32) {
	cn := &c.conns[slot]
	fd, err := reactor.Connect(source(int(slot), Sources(len(c.conns))), c.o.Remote, reactor.DialOptions{})
	if err != nil {
		c.Fail(fmt.Errorf("client %d: %w", slot, err))
		return
	}
	*cn = conn{fd: int32(fd), gen: cn.gen + 1, phase: phaseConnect}
	c.pending++
	events := reactor.Out
	if c.o.AtOnce {
		if err = c.request(slot, cn); err == nil {
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
	if err := c.write(cn, c.o.Request(slot)); err != nil {
		return err
	}
	cn.phase = phaseAnswer
	return nil
}

// write hands all of p to the kernel, which always fits into an empty buffer.
func (c *Clients) write(cn *conn, p []byte) error {
	n, err := reactor.Write(int(cn.fd), p)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d of %d bytes taken", n, len(p))
	}
	return err
}

// Send sends a text to the server.
func (c *Clients) Send(slot uint32, text []byte) error {
	return c.frame(&c.conns[slot], ws.OpText, text)
}

func (c *Clients) frame(cn *conn, op ws.OpCode, payload []byte) error {
	c.out = wsframe.AppendMasked(c.out[:0], op, payload, [4]byte{1, 2, 3, 4})
	if err := c.write(cn, c.out); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Ready takes what came for one client.
func (c *Clients) Ready(k reactor.Key, _ reactor.Events) {
	cn := &c.conns[k.Slot]
	if uint32(cn.gen) != k.Gen || cn.phase == phaseNone {
		return
	}
	if err := c.step(k.Slot, cn); err != nil {
		c.owner.Ended(k.Slot, err)
		c.HangUp(k.Slot)
	}
}

func (c *Clients) step(slot uint32, cn *conn) error {
	if cn.phase == phaseConnect {
		if err := reactor.SocketError(int(cn.fd)); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if err := c.request(slot, cn); err != nil {
			return err
		}
		return c.loop.Mod(int(cn.fd), reactor.Key{Slot: slot, Gen: uint32(cn.gen)}, reactor.In)
	}
	n, err := reactor.Read(int(cn.fd), c.in[:])
	if err == reactor.ErrAgain {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	c.Heard = time.Now()
	p := c.in[:n]
	if cn.phase == phaseAnswer {
		if p, err = c.answer(slot, cn, p); err != nil {
			return err
		}
	}
	if c.o.Events {
		return c.events(slot, cn, p)
	}
	return c.frames(slot, cn, p)
}

// answer reads the answer to the handshake and returns what follows it.
func (c *Clients) answer(slot uint32, cn *conn, p []byte) (rest []byte, err error) {
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
	c.owner.Opened(slot)
	return p[end+len(headEnd):], nil
}
