package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/gobwas/ws"

	"pushgate/internal/reactor"
	"pushgate/internal/wsframe"
)

// phase says what a client waits for.
type phase uint8

const (
	phaseNone    phase = iota // no connection
	phaseConnect              // the kernel to connect
	phaseAnswer               // the answer to the handshake
	phaseConfirm              // its subscriptions to be confirmed
	phaseReady
)

// client is one connection. It exists a million times beside the gateway that
// is measured, so it holds no pointer; what comes in pieces is in a table.
type client struct {
	fd        int32
	gen       uint32
	phase     phase
	confirmed uint8
	bye       bool
	got       [messages]uint8
}

// partial is what a client holds of an answer or a message under way.
type partial struct {
	frames wsframe.Reader
	bytes  []byte
}

var (
	headEnd    = []byte("\r\n\r\n")
	statusLine = []byte("HTTP/1.1 101 ")
	errEnded   = errors.New("stream ended")
)

// channels returns the number of subscriptions of a client.
func channels(slot uint32) uint8 {
	if slot%fewStep == 0 {
		return 2
	}
	return 1
}

// dial starts a connection. Over loopback it is mostly made by the time the
// call returns, and the request can be sent without waiting for an event.
func (c *clients) dial(slot uint32) {
	cn := &c.conns[slot]
	fd, err := reactor.Connect(sourceOf(int(slot), addressesFor(len(c.conns))), c.remote, reactor.DialOptions{})
	if err != nil {
		c.fail(fmt.Errorf("client %d: %w", slot, err))
		return
	}
	*cn = client{fd: int32(fd), gen: cn.gen + 1, phase: phaseConnect, got: cn.got}
	c.pending++
	events := reactor.In
	if err := c.request(slot, cn); err == reactor.ErrAgain {
		events = reactor.Out
	} else if err != nil {
		c.fail(fmt.Errorf("client %d: %w", slot, err))
		return
	}
	if err := c.loop.Add(fd, reactor.Key{Slot: slot, Gen: cn.gen}, events); err != nil {
		c.fail(fmt.Errorf("client %d: %w", slot, err))
	}
}

func (c *clients) request(slot uint32, cn *client) error {
	request := c.requests[channels(slot)-1]
	n, err := reactor.Write(int(cn.fd), request)
	if err != nil {
		return err
	}
	if n < len(request) {
		return fmt.Errorf("%d bytes of the request taken", n)
	}
	cn.phase = phaseAnswer
	return nil
}

// Ready takes what came for one client.
func (c *clients) Ready(k reactor.Key, _ reactor.Events) {
	cn := &c.conns[k.Slot]
	if cn.gen != k.Gen || cn.phase == phaseNone {
		return
	}
	if err := c.step(k.Slot, cn); err != nil {
		if cn.phase < phaseReady {
			c.pending--
			c.fail(fmt.Errorf("client %d: %w", k.Slot, err))
		}
		c.counts.Broken++
		if c.counts.Why == "" {
			c.counts.Why = fmt.Sprintf("client %d: %v", k.Slot, err)
		}
		c.hangUp(k.Slot)
	}
}

func (c *clients) step(slot uint32, cn *client) error {
	if cn.phase == phaseConnect {
		if err := reactor.SocketError(int(cn.fd)); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if err := c.request(slot, cn); err != nil {
			return err
		}
		return c.loop.Mod(int(cn.fd), reactor.Key{Slot: slot, Gen: cn.gen}, reactor.In)
	}
	n, err := reactor.Read(int(cn.fd), c.in[:])
	if err == reactor.ErrAgain {
		return nil
	}
	if err != nil {
		return errors.Join(errEnded, err)
	}
	p := c.in[:n]
	if cn.phase == phaseAnswer {
		if p = c.answer(slot, cn, p); p == nil {
			return nil
		}
		if !bytes.HasPrefix(p, statusLine) {
			return fmt.Errorf("handshake answered by %q", p)
		}
		p = p[bytes.Index(p, headEnd)+len(headEnd):]
		cn.phase = phaseConfirm
	}
	return c.frames(slot, cn, p)
}

// answer returns what came of the answer to the handshake once its head is
// complete, nil before.
func (c *clients) answer(slot uint32, cn *client, p []byte) []byte {
	if rest := c.partial[slot]; rest != nil {
		p = append(rest.bytes, p...)
		delete(c.partial, slot)
	}
	if !bytes.Contains(p, headEnd) {
		c.partial[slot] = &partial{bytes: bytes.Clone(p)}
		return nil
	}
	return p
}

// pong answers a ping.
func (c *clients) pong(cn *client, payload []byte) error {
	c.counts.Pings++
	c.out = wsframe.AppendMasked(c.out[:0], ws.OpPong, payload, [4]byte{1, 2, 3, 4})
	if n, err := reactor.Write(int(cn.fd), c.out); err != nil || n < len(c.out) {
		return fmt.Errorf("%d bytes of a pong taken: %w", n, err)
	}
	return nil
}

// hangUp closes a connection.
func (c *clients) hangUp(slot uint32) {
	cn := &c.conns[slot]
	reactor.CloseFD(int(cn.fd))
	if cn.phase == phaseReady {
		c.alive--
	}
	cn.phase = phaseNone
	delete(c.partial, slot)
}
