package torture

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// webSocketLife opens a WebSocket and sends frames.
func (c *client) webSocketLife(ctx context.Context, w *wire) {
	target := "/v1/ws?" + c.query(5).Encode()
	if chance(c.random, 8) {
		target = "/debug/echo"
	}
	lines := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	switch c.random.IntN(25) {
	case 0:
		lines = lines[1:]
	case 1:
		lines[2] = "Sec-WebSocket-Version: 8"
	case 2:
		lines[3] = "Sec-WebSocket-Key: short"
	case 3:
		lines = append(lines, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
	case 4:
		lines = append(lines, "Sec-WebSocket-Protocol: pushgate.v1, bearer."+c.drawToken(c.random))
	case 5:
		lines = append(lines, "Sec-WebSocket-Protocol: , ,x")
	}
	if !c.send(w, c.get(target, lines...)) {
		return
	}
	for range c.random.IntN(25) {
		var b []byte
		for range 1 + c.random.IntN(3)*c.random.IntN(10) { // several at once
			b = append(b, c.frames()...)
		}
		if !c.send(w, b) {
			return
		}
		select {
		case <-w.ended:
			return
		default:
		}
		if chance(c.random, 60) {
			c.linger(ctx, w)
		}
		if chance(c.random, 4) {
			w.read(pick(c.random, readNothing, readSlowly, readAll))
		}
	}
}

// frames returns a message, whole or in fragments, or control frames, or violations of RFC
// 6455.
func (c *client) frames() []byte {
	switch n := c.random.IntN(40); {
	case n < 24:
		return c.fragmented(ws.OpText, c.command())
	case n < 27:
		return c.frame(ws.OpPing, true, c.bytes(c.random.IntN(126)))
	case n < 29:
		return c.frame(ws.OpPong, true, nil)
	case n == 29:
		return c.fragmented(ws.OpText, []byte(strings.Repeat("g", c.random.IntN(100<<10))))
	case n == 30:
		return c.fragmented(ws.OpBinary, c.bytes(c.random.IntN(50)))
	case n == 31:
		return c.fragmented(ws.OpText, []byte("bad \xff\xc3"))
	case n == 32:
		code := pick(c.random, 1000, 1001, 1002, 1005, 1006, 3000, 4999, 5000, 0)
		return c.frame(ws.OpClose, true, append(binary.BigEndian.AppendUint16(nil, uint16(code)), pick(c.random, "", "bye", "\xff", strings.Repeat("r", 123))...))
	case n == 33:
		return c.frame(ws.OpClose, true, c.bytes(c.random.IntN(2)))
	case n == 34:
		return c.frame(pick(c.random, ws.OpContinuation, ws.OpCode(3), ws.OpCode(11)), true, nil)
	case n == 35:
		return wsframe.AppendFrame(nil, ws.OpText, []byte(`{"type":"ping"}`)) // not masked
	case n == 36:
		return c.frame(ws.OpPing, false, c.bytes(c.random.IntN(130)))
	case n == 37:
		b := c.frame(ws.OpText, true, c.command())
		b[0] |= 0x40
		return b
	case n == 38: // announces more than there will ever be
		return binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, c.random.Uint64()>>c.random.IntN(64))
	default:
		return c.bytes(c.random.IntN(40))
	}
}

// frame returns a masked frame.
func (c *client) frame(op ws.OpCode, fin bool, payload []byte) []byte {
	b := wsframe.AppendMasked(nil, op, payload, [4]byte(c.bytes(4)))
	if !fin {
		b[0] &^= 0x80
	}
	return b
}

// fragmented returns a message in one frame or more, at times with control frames
// between them, or without an end.
func (c *client) fragmented(op ws.OpCode, payload []byte) (b []byte) {
	if chance(c.random, 80) {
		return c.frame(op, true, payload)
	}
	for pieces := 1 + c.random.IntN(6); ; pieces-- {
		n := len(payload)
		if pieces > 1 {
			n = c.random.IntN(len(payload) + 1)
		}
		b = append(b, c.frame(op, pieces == 1, payload[:n])...)
		payload, op = payload[n:], ws.OpContinuation
		if pieces == 1 || chance(c.random, 3) {
			return b
		}
		if chance(c.random, 30) {
			b = append(b, c.frame(ws.OpPing, true, []byte("amid"))...)
		}
	}
}

// command returns a valid command, or something near one.
func (c *client) command() []byte {
	m := map[string]any{}
	channel := noiseChannel(c.random)
	if chance(c.random, 25) {
		channel = fmt.Sprint("noise.new.", c.random.IntN(100000)) // few others have it
	}
	switch n := c.random.IntN(20); {
	case n < 7:
		m["type"], m["channel"] = "subscribe", channel
		switch c.random.IntN(4) {
		case 0:
			m[pick(c.random, "since", "cursor")] = c.position()
		case 1:
			m["history"] = pick(c.random, 0, 1, 20, 1000, -1)
		case 2:
			m["since"], m["history"] = c.position(), 10
		}
	case n < 10:
		m["type"], m["channel"] = "unsubscribe", channel
	case n < 14:
		m["type"], m["channel"], m["data"] = "publish", channel, map[string]any{"text": strings.Repeat("d", c.random.IntN(3000))}
		if chance(c.random, 30) {
			m["durable"], m["idempotency_key"] = true, fmt.Sprint("key-", c.random.IntN(4))
		}
	case n < 16:
		m["type"] = "ping"
	case n == 16:
		m["type"], m["token"] = "auth", c.drawToken(c.random)
	case n == 17:
		return []byte(pick(c.random, "", "{", "[]", "null", `{"type":1}`, `{"type":"nothing"}`, `{"type":"ping"}{"type":"ping"}`, `{"type":"subscribe"}`,
			`{"type":"ping","ref":{"a":1}}`, strings.Repeat(`{"a":`, 2000), `{"TYPE":"ping"}`, `{"type":"ping","type":"auth"}`))
	case n == 18:
		m["type"], m["channel"] = pick(c.random, "subscribe", "publish", "unsubscribe"), pick(c.random, "", "a b", "other.a", durableA, strings.Repeat("n", 201))
		m["data"] = nil
	default:
		m["type"], m["channel"], m["extra"] = "subscribe", channel, pick(c.random, "1-1", "x", "")
	}
	if chance(c.random, 50) {
		m["ref"] = pick[any](c.random, 1, "ref", 1.5, strings.Repeat("r", 65), nil, []int{1})
	}
	b, _ := json.Marshal(m)
	return b
}
