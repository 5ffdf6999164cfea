package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/gobwas/ws"

	"pushgate/internal/reactor"
	"pushgate/internal/wsframe"
)

// phase says what a client waits for.
type phase uint8

const (
	phaseConnect phase = iota
	phaseAnswer
	phaseSubscribed // only at the gateway
	phaseReady
)

// client is one connection.
type client struct {
	fd       int
	phase    phase
	answer   []byte // the handshake's, while it is incomplete
	frames   wsframe.Reader
	offset   int  // bytes of the message under way
	mark     byte // its byte at markAt
	messages int
}

// markAt is where the first letter of the type stands in a text of the gateway,
// which tells its messages apart.
const markAt = len(`{"type":"`)

var (
	headEnd    = []byte("\r\n\r\n")
	statusLine = []byte("HTTP/1.1 101 ")
)

// dial starts the next connection.
func (c *clients) dial() {
	slot := len(c.conns)
	fd, err := reactor.Connect(netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + slot%sources)}), c.remote, reactor.DialOptions{})
	if err != nil {
		c.fail(fmt.Errorf("client %d: %w", slot, err))
		return
	}
	c.conns = append(c.conns, client{fd: fd, frames: c.fresh})
	if err := c.loop.Add(fd, reactor.Key{Slot: uint32(slot)}, reactor.Out); err != nil {
		c.fail(fmt.Errorf("client %d: %w", slot, err))
	}
}

// Ready takes what came for one client.
func (c *clients) Ready(k reactor.Key, _ reactor.Events) {
	cn := &c.conns[k.Slot]
	if c.err == nil {
		if err := c.step(cn, k); err != nil {
			c.fail(fmt.Errorf("client %d: %w", k.Slot, err))
		}
	}
	if c.err != nil {
		// Nothing is read any more, and what isn't read stays ready.
		c.loop.Del(cn.fd)
	}
}

func (c *clients) step(cn *client, k reactor.Key) error {
	if cn.phase == phaseConnect {
		return c.sendRequest(cn, k)
	}
	n, err := reactor.Read(cn.fd, c.in[:])
	if err == reactor.ErrAgain {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	c.heard = time.Now()
	p := c.in[:n]
	if cn.phase == phaseAnswer {
		if p, err = c.readAnswer(cn, p); err != nil {
			return err
		}
	}
	return c.readFrames(cn, p)
}

func (c *clients) sendRequest(cn *client, k reactor.Key) error {
	if err := reactor.SocketError(cn.fd); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if n, err := reactor.Write(cn.fd, c.request); err != nil || n < len(c.request) {
		return fmt.Errorf("%d bytes of the request taken: %w", n, err)
	}
	cn.phase = phaseAnswer
	return c.loop.Mod(cn.fd, k, reactor.In)
}

// readAnswer reads the server's answer to the handshake and returns what
// follows it.
func (c *clients) readAnswer(cn *client, p []byte) (rest []byte, err error) {
	if len(cn.answer) > 0 {
		p = append(cn.answer, p...)
	}
	end := bytes.Index(p, headEnd)
	if end < 0 {
		cn.answer = bytes.Clone(p)
		return nil, nil
	}
	if !bytes.HasPrefix(p, statusLine) {
		return nil, fmt.Errorf("handshake answered by %q", p)
	}
	cn.answer = nil
	if c.gateway {
		cn.phase = phaseSubscribed
	} else {
		cn.phase = phaseReady
		c.ready++
	}
	return p[end+len(headEnd):], nil
}

func (c *clients) readFrames(cn *client, p []byte) error {
	for len(p) > 0 {
		ev, n, err := cn.frames.Next(p)
		if err != nil {
			return err
		}
		p = p[n:]
		switch ev.Kind {
		case wsframe.Data:
			if at := markAt - cn.offset; at >= 0 && at < len(ev.Payload) {
				cn.mark = ev.Payload[at]
			}
			cn.offset += len(ev.Payload)
			if ev.Final {
				err = c.text(cn)
				cn.offset, cn.mark = 0, 0
			}
		case wsframe.Ping:
			err = c.pong(cn, ev.Payload)
		case wsframe.Close:
			err = fmt.Errorf("closed by the server: %d %q", ev.Code, ev.Reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// text counts a whole text message.
func (c *clients) text(cn *client) error {
	switch {
	case cn.phase == phaseReady && (!c.gateway || cn.mark == 'm'): // message
		cn.messages++
		c.messages++
	case c.gateway && cn.phase == phaseSubscribed && cn.mark == 'w': // welcome
	case c.gateway && cn.phase == phaseSubscribed && cn.mark == 's': // subscribed
		cn.phase = phaseReady
		c.ready++
	default:
		return fmt.Errorf("unexpected message whose type starts with %q", cn.mark)
	}
	return nil
}

func (c *clients) pong(cn *client, payload []byte) error {
	c.pings++
	c.out = wsframe.AppendMasked(c.out[:0], ws.OpPong, payload, [4]byte{1, 2, 3, 4})
	if n, err := reactor.Write(cn.fd, c.out); err != nil || n < len(c.out) {
		return fmt.Errorf("%d bytes of a pong taken: %w", n, err)
	}
	return nil
}
