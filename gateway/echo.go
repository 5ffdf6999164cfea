package gateway

import (
	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// echoPath is the endpoint that echoes a WebSocket's text and binary messages, for conformance
// suites. It exists only with debug.echo.
const echoPath = "/debug/echo"

// maxEcho is the largest message that is echoed.
const maxEcho = 16 << 20

// openEcho accepts a handshake for the echo endpoint, whose token was checked.
func (s *shard) openEcho(i uint32, c *client, rest []byte) {
	answer, ok := s.acceptKey(i, c)
	if !ok {
		return
	}
	s.stats.handshakes[reasons.HandshakeOK]++
	s.open(c, kindEcho, true)
	s.conns.ReadAlone(i)
	s.schedule(i, c, s.conns.Spread(conn.Ticks(s.cfg.Heartbeat.Interval)))
	s.conns.SendCopy(i, answer)
	if len(rest) > 0 {
		s.frames(i, c, rest)
	}
}

// echoPiece echoes a piece of a message as a fragment, so that nothing is gathered however long the
// message is. Nothing more is read from a client with pending output (watchOut), so the queue holds
// at most the echo of one read.
func (s *shard) echoPiece(i uint32, c *client, ev wsframe.Event) {
	op := ev.Op
	if c.in != 0 && s.inputs.At(c.in).begun {
		op = ws.OpContinuation
	}
	if c.in != 0 || !ev.Final {
		s.inputOf(i, c).begun = !ev.Final
	}
	s.scratch = wsframe.AppendHeader(s.scratch[:0], op, ev.Final, len(ev.Payload))
	s.scratch = append(s.scratch, ev.Payload...)
	s.conns.SendCopy(i, s.scratch)
}
