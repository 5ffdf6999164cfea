package rig

import (
	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// frames reads what came for a client, tells the owner of whole messages, and
// answers pings.
func (c *Clients) frames(slot uint32, cn *conn, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	fresh := partial{frames: c.fresh}
	held := c.borrow(slot, &fresh)
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
				err = c.owner.Text(slot, text)
				held.bytes = held.bytes[:0]
			}
		case wsframe.Ping:
			c.Pings++
			err = c.frame(cn, ws.OpPong, ev.Payload)
		case wsframe.Close:
			// RFC 6455, 5.5.1. A server that has gone meanwhile did say goodbye.
			c.frame(cn, ws.OpClose, ev.Payload[:min(2, len(ev.Payload))])
			err = &Closed{Code: ev.Code, Reason: string(ev.Reason)}
		}
		if err != nil {
			return err
		}
	}
	c.giveBack(slot, held, &fresh, held.frames.Idle() && len(held.bytes) == 0)
	return nil
}
