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

// client is one connection.
type client struct {
	fd     int
	asked  bool   // the request is sent
	open   bool   // and answered
	head   []byte // the answer, while it is incomplete
	frames wsframe.Reader
	text   []byte // of the message under way
	next   int    // number of the message that comes next
}

// dial starts the next connection.
func (c *clients) dial() {
	slot := len(c.conns)
	fd, err := reactor.Connect(netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + slot%sources)}), c.remote, reactor.DialOptions{})
	if err != nil {
		c.fail(fmt.Errorf("client %d: %w", slot, err))
		return
	}
	c.conns = append(c.conns, client{fd: fd, frames: wsframe.NewReader(wsframe.Client, 1<<20), next: c.first})
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
		c.loop.Del(c.conns[k.Slot].fd) // nothing is read any more
	}
	c.connect()
}

func (c *clients) step(cn *client, k reactor.Key) error {
	if !cn.asked {
		if err := reactor.SocketError(cn.fd); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		cn.asked = true
		if err := c.send(cn, c.request); err != nil {
			return err
		}
		return c.loop.Mod(cn.fd, k, reactor.In)
	}
	n, err := reactor.Read(cn.fd, c.in[:])
	if err == reactor.ErrAgain {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	p := c.in[:n]
	if !cn.open {
		if p, err = c.readHead(cn, p); err != nil {
			return err
		}
	}
	return c.readFrames(cn, p)
}

// send writes what always fits into an empty socket's buffer.
func (c *clients) send(cn *client, p []byte) error {
	if n, err := reactor.Write(cn.fd, p); err != nil || n < len(p) {
		return fmt.Errorf("%d of %d bytes written: %w", n, len(p), err)
	}
	return nil
}

// readHead reads the answer to the handshake and returns what follows it.
func (c *clients) readHead(cn *client, p []byte) (rest []byte, err error) {
	if len(cn.head) > 0 {
		p = append(cn.head, p...)
	}
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		cn.head = bytes.Clone(p)
		return nil, nil
	}
	if !bytes.HasPrefix(p, []byte("HTTP/1.1 101 ")) {
		return nil, fmt.Errorf("handshake answered by %q", p)
	}
	cn.head, cn.open = nil, true
	c.open++
	return p[end+4:], nil
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
			text := ev.Payload
			if len(cn.text) > 0 || !ev.Final {
				cn.text = append(cn.text, text...)
				text = cn.text
			}
			if ev.Final {
				err = c.message(cn, text)
				cn.text = cn.text[:0]
			}
		case wsframe.Ping:
			c.out = wsframe.AppendMasked(c.out[:0], ws.OpPong, ev.Payload, [4]byte{1, 2, 3, 4})
			err = c.send(cn, c.out)
		case wsframe.Close:
			err = fmt.Errorf("closed by the gateway: %d %q", ev.Code, ev.Reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What a text begins with, and what stands before a message's number.
var (
	isMessage = []byte(`{"type":"message","channel":"` + channel + `","id":"`)
	isOther   = [][]byte{[]byte(`{"type":"welcome"`), []byte(`{"type":"subscribed"`)}
	number    = []byte(`","data":{"n":`)
)

// message checks that a message is the next one. It looks only where it has to:
// the clients share the machine with the gateway.
func (c *clients) message(cn *client, text []byte) error {
	rest, ok := bytes.CutPrefix(text, isMessage)
	if !ok {
		for _, prefix := range isOther {
			if bytes.HasPrefix(text, prefix) {
				return nil
			}
		}
		return fmt.Errorf("got %.200q", text)
	}
	_, rest, _ = bytes.Cut(rest, number)
	n := 0
	for len(rest) > 0 && '0' <= rest[0] && rest[0] <= '9' {
		n = 10*n + int(rest[0]-'0')
		rest = rest[1:]
	}
	if n != cn.next {
		return fmt.Errorf("got message %d in place of %d: %.200q", n, cn.next, text)
	}
	if cn.next == c.caught {
		c.caughtUp = append(c.caughtUp, time.Now())
	}
	if cn.next == c.last {
		c.finished++
	}
	cn.next++
	return nil
}
