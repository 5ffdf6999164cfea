package main

import (
	"bytes"
	"fmt"

	"github.com/gobwas/ws"

	"pushgate/internal/reactor"
	"pushgate/internal/wsframe"
)

// The two channels of the course.
const (
	everyone = "everyone"
	few      = "few"
)

// numberMark stands before a message's number in the text of its frame.
var numberMark = []byte(`"data":{"number":`)

// payload returns message k, 128 bytes.
func payload(k int) []byte {
	p := fmt.Appendf(nil, `{"number":%d,"text":"`, k)
	return append(append(p, bytes.Repeat([]byte("x"), 128-len(p)-2)...), `"}`...)
}

// frames reads what came for a client.
func (c *clients) frames(slot uint32, cn *client, p []byte) error {
	held := c.partial[slot]
	var fresh partial
	if held == nil {
		fresh.frames = c.fresh
		held = &fresh
	}
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
				err = c.text(slot, cn, text)
				held.bytes = held.bytes[:0]
			}
		case wsframe.Ping:
			err = c.pong(cn, ev.Payload)
		case wsframe.Close:
			return c.closed(slot, cn, ev)
		}
		if err != nil {
			return err
		}
	}
	switch whole := held.frames.Idle() && len(held.bytes) == 0; {
	case held == &fresh && !whole:
		c.partial[slot] = &partial{frames: fresh.frames, bytes: fresh.bytes}
	case held != &fresh && whole:
		delete(c.partial, slot)
	}
	return nil
}

// text takes a whole text of the gateway, told by its type's first letter.
func (c *clients) text(slot uint32, cn *client, text []byte) error {
	const letter = len(`{"type":"`)
	if len(text) <= letter {
		return fmt.Errorf("unexpected text %q", text)
	}
	switch text[letter] {
	case 'w': // welcome
	case 's': // subscribed
		cn.confirmed++
		if cn.phase == phaseConfirm && cn.confirmed == channels(slot) {
			cn.phase = phaseReady
			c.pending--
			c.alive++
			c.ready.count++
		}
	case 'm': // message
		return c.message(cn, text)
	case 'b': // bye
		cn.bye = true
	case 'g': // gap
		c.counts.Gaps++
	default:
		return fmt.Errorf("unexpected text %q", text)
	}
	return nil
}

func (c *clients) message(cn *client, text []byte) error {
	at := bytes.Index(text, numberMark)
	if at < 0 || len(text) <= at+len(numberMark) {
		return fmt.Errorf("not a message of this run: %q", text)
	}
	k := int(text[at+len(numberMark)] - '0')
	if k >= messages {
		return fmt.Errorf("not a message of this run: %q", text)
	}
	if cn.got[k]++; cn.got[k] > 1 {
		c.counts.Doubled++
		return nil
	}
	c.got[k].count++
	return nil
}

// closed takes the gateway's close frame, answers it (RFC 6455, 5.5.1) and
// hangs up.
func (c *clients) closed(slot uint32, cn *client, ev wsframe.Event) error {
	if !c.drained || !cn.bye || ev.Code != 1012 {
		return fmt.Errorf("closed by the server: %d %q, after a bye: %v", ev.Code, ev.Reason, cn.bye)
	}
	c.out = wsframe.AppendMasked(c.out[:0], ws.OpClose, []byte{1012 >> 8, 1012 & 0xff}, [4]byte{1, 2, 3, 4})
	reactor.Write(int(cn.fd), c.out) // a client that is late finds the gateway gone, and has been told all the same
	c.gone.count++
	c.hangUp(slot)
	return nil
}
