package gateway

import (
	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// echoPath is where a WebSocket gets its own text and binary messages back, for
// conformance suites. It exists only with debug.echo.
const echoPath = "/debug/echo"

// maxEcho is the largest message that is echoed.
const maxEcho = 16 << 20

// openEcho answers a request for the echo endpoint, whose token was checked.
func (s *shard) openEcho(i uint32, c *conn, rest []byte) {
	answer, ok := s.acceptKey(i, c)
	if !ok {
		return
	}
	s.stats.handshakes[reasons.HandshakeOK]++
	s.open(c, kindEcho, true)
	s.schedule(i, c, s.wheel.Spread(ticks(s.cfg.Heartbeat.Interval)))
	s.sendCopy(i, c, answer)
	if len(rest) > 0 {
		s.frames(i, c, rest)
	}
}

// echoPiece sends a piece of a message back as a fragment of the answer, so
// that nothing is gathered however long the message is. What the client doesn't
// take is queued, and no more is read from it until it did (watchOut): the
// queue holds no more than the answer to one read.
func (s *shard) echoPiece(i uint32, c *conn, ev wsframe.Event) {
	op := ev.Op
	if c.in != 0 && s.inputs.At(c.in).begun {
		op = ws.OpContinuation
	}
	if c.in != 0 || !ev.Final {
		s.inputOf(i, c).begun = !ev.Final
	}
	s.scratch = wsframe.AppendHeader(s.scratch[:0], op, ev.Final, len(ev.Payload))
	s.scratch = append(s.scratch, ev.Payload...)
	s.sendCopy(i, c, s.scratch)
}
