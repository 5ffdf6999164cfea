package client

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// websocket is RFC 6455 from the client's side. All clients send the same key,
// which tests the server's answer as well as different ones would.
type websocket struct{}

const (
	webSocketKey    = "bG9hZGdlbi10aGUta2V5IQ=="
	webSocketAccept = "YU3Fe9MMZmAkyPFY8SqqGXtI948="
)

type frameReader = wsframe.Reader

func newFrameReader() frameReader { return wsframe.NewReader(wsframe.Client, plan.MaxMessage) }

func (w websocket) appendRequest(l *loop, dst []byte, slot uint32) []byte {
	i := l.number(slot)
	if l.resuming(slot) {
		dst = l.plan.AppendTarget(dst, i)
	} else {
		dst = l.plan.AppendGet(dst, i)
	}
	dst = l.plan.AppendFields(dst, i)
	for k, name := range l.plan.Offered {
		dst = append(append(dst, []string{"Sec-WebSocket-Protocol: ", ", "}[min(k, 1)]...), name...)
	}
	if len(l.plan.Offered) > 0 {
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+webSocketKey+"\r\n\r\n"...)
}

func (w websocket) received(l *loop, slot uint32, p []byte) {
	switch c := &l.clients[slot]; {
	case c.flags&closeSeen != 0:
		return
	case c.state != opening:
		w.frames(l, slot, p)
		return
	}
	h, rest, ok := l.answered(slot, p, 101)
	switch {
	case !ok:
	case !h.upgrade:
		l.end(slot, account.ReasonUpgrade)
	case string(h.accept) != webSocketAccept:
		l.end(slot, account.ReasonAccept)
	case len(l.plan.Offered)+len(h.protocol) > 0 && !slices.Contains(l.plan.Offered, string(h.protocol)):
		// A browser goes on with one of those offered, or with none where none was.
		l.end(slot, account.ReasonSubprotocol)
	default:
		resuming := l.resuming(slot)
		rest = l.accepted(slot, h, rest)
		if l.plan.Foreign && !l.greet(slot) || resuming && !w.subscribe(l, slot) {
			return
		}
		w.frames(l, slot, rest)
	}
}

// subscribe asks for a client's channels from where it left.
func (w websocket) subscribe(l *loop, slot uint32) bool {
	channels := &l.plan.ChannelSet
	var command []byte
	for k := range channels.PerClient() {
		command = append(command[:0], `{"type":"subscribe","channel":"`...)
		command = channels.AppendName(command, channels.Of(l.number(slot), k))
		command = append(command, `","since":"`...)
		command = append(command, l.positions.of[l.subscription(slot, k)]...)
		command = append(command, `"}`...)
		if !l.sendFrame(slot, ws.OpText, command) {
			return false
		}
	}
	return true
}

// frames takes WebSocket frames.
func (w websocket) frames(l *loop, slot uint32, p []byte) {
	// Most reads hold whole messages: they use one reader that the loop keeps.
	r := &l.frames
	s := l.heldScratch(slot)
	if s != nil {
		r = &s.frames
	}
	for len(p) > 0 {
		ev, n, err := r.Next(p)
		p = p[n:]
		if err != nil {
			l.end(slot, account.TextReason(account.ReasonProtocol, []byte(err.Error())))
			l.frames = newFrameReader()
			return
		}
		switch ev.Kind {
		case wsframe.Data:
			w.data(l, slot, ev)
		case wsframe.Ping:
			l.counters.Pings++
			l.sendFrame(slot, ws.OpPong, ev.Payload)
		case wsframe.Close:
			w.closed(l, slot, ev)
			l.frames = newFrameReader()
			return
		}
		if l.clients[slot].state == gone {
			l.frames = newFrameReader()
			return
		}
	}
	// Between messages nothing is kept; inside one the reader moves to the
	// client's scratch.
	if r.Idle() {
		l.tidy(slot)
	} else if r == &l.frames {
		s := l.scratch(slot)
		s.frames = l.frames
		l.frames = newFrameReader()
	}
}

// data takes a piece of a message. Only the start of a message in several pieces is gathered.
func (w websocket) data(l *loop, slot uint32, ev wsframe.Event) {
	s := l.heldScratch(slot)
	if ev.Final && (s == nil || len(s.in) == 0) {
		l.message(slot, ev.Payload)
		return
	}
	s = l.scratch(slot)
	room := l.plan.Envelope() - len(s.in)
	s.in = append(s.in, ev.Payload[:min(room, len(ev.Payload))]...)
	if ev.Final {
		l.message(slot, s.in)
		s.in = s.in[:0]
	}
}

// closed answers a close frame and waits for the server to close the stream,
// as RFC 6455 section 7.1.1 wants it.
func (w websocket) closed(l *loop, slot uint32, ev wsframe.Event) {
	c := &l.clients[slot]
	why := account.ClosedReason(int(ev.Code)).With(string(ev.Payload[min(len(ev.Payload), 2):]))
	if s := l.heldScratch(slot); c.state == joining && s != nil && s.bye && (ev.Code == 1012 || ev.Code == 1013) {
		l.later(slot, why, cmp.Or(s.after, defaultLater))
		return
	}
	c.flags |= closeSeen
	if c.flags&leaving == 0 {
		l.lose(slot, why)
		payload := ev.Payload[:min(len(ev.Payload), 2)]
		if l.sendFrame(slot, ws.OpClose, payload); c.state == gone {
			return
		}
	}
	c.state = closing
	l.scratch(slot).deadline = l.now + int64(CloseWait)
}

// sendFrame sends one frame. False: the client is gone. RFC 6455 section 5.3 wants the masking
// key unpredictable to protect proxies from scripts in browsers; here nobody chooses the
// payloads.
func (k *sockets) sendFrame(slot uint32, op ws.OpCode, payload []byte) bool {
	var mask [4]byte
	binary.NativeEndian.PutUint32(mask[:], rand.Uint32())
	return k.send(slot, wsframe.AppendMasked(k.out[:0], op, payload, mask))
}
