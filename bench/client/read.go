package client

import (
	"bytes"
	"errors"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// frames reads whole messages of a WebSocket and answers pings.
func (c *Clients) frames(slot uint32, cn *conn, p []byte) error {
	held := c.part(slot)
	for len(p) > 0 {
		ev, n, err := held.frames.Next(p)
		if err != nil {
			return err
		}
		p = p[n:]
		switch ev.Kind {
		case wsframe.Data:
			text := ev.Payload
			if len(held.bytes) > 0 || !ev.Final {
				held.bytes = append(held.bytes, text...)
				text = held.bytes
			}
			if ev.Final {
				err = c.text(slot, text)
				held.bytes = held.bytes[:0]
			}
		case wsframe.Ping:
			c.Pings++
			err = c.frame(slot, ws.OpPong, ev.Payload)
		case wsframe.Close:
			// RFC 6455, 5.5.1. A server that has gone meanwhile did say goodbye.
			c.frame(slot, ws.OpClose, ev.Payload[:min(2, len(ev.Payload))])
			err = &closed{code: ev.Code, reason: string(ev.Reason)}
		}
		if err != nil {
			return err
		}
	}
	c.keep(slot, held, held.frames.Idle() && len(held.bytes) == 0)
	return nil
}

var (
	errCoding = errors.New("the chunked coding is broken")
	errEnded  = errors.New("the server ended the event stream")
)

// events reads the data of an event stream.
func (c *Clients) events(slot uint32, cn *conn, p []byte) error {
	held := c.part(slot)
	for len(p) > 0 {
		piece, n, ok := p, len(p), true
		if cn.coded {
			piece, n, ok = held.chunks.Next(p)
		}
		switch {
		case !ok:
			return errCoding
		case held.chunks.Done():
			return errEnded
		}
		p = p[n:]
		// An event has one line of data: nobody here sends texts with line ends.
		err := held.lines(piece, func(line []byte) error {
			if len(line) > 0 && line[0] == ':' {
				c.Pings++
			}
			if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
				return c.text(slot, bytes.TrimPrefix(data, []byte(" ")))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.keep(slot, held, held.chunks.Idle() && len(held.bytes) == 0)
	return nil
}

// lines calls fn for each whole line, without its end, and keeps the rest.
func (h *partial) lines(p []byte, fn func(line []byte) error) error {
	for len(p) > 0 {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if !whole {
			h.bytes = append(h.bytes, p...)
			return nil
		}
		p = rest
		if len(h.bytes) > 0 {
			h.bytes = append(h.bytes, line...)
			line = h.bytes
			h.bytes = h.bytes[:0]
		}
		if err := fn(bytes.TrimSuffix(line, []byte("\r"))); err != nil {
			return err
		}
	}
	return nil
}
