package gateway

import (
	"math/rand/v2"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// byeSpread bounds the reconnect delay of a client that was closed for a reason of its own. A
// rebalanced or drained one gets drain.reconnect.
const byeSpread = retryMS * time.Millisecond

// farewell returns the last bytes for an open stream or WebSocket: a bye with the reason and a
// random reconnect delay within spread, then the close frame with the reason's code and word. A
// client that gets bare payloads, or was closed because it doesn't read, gets no bye.
func (s *shard) farewell(c *client, reason reasons.Close, detail string, spread time.Duration) (last []byte) {
	bye := reply{
		Type: "bye", Reason: string(reason), Message: detail,
		ReconnectAfterMS: 1 + rand.Int64N(max(1, spread.Milliseconds())),
	}
	silent := c.flags&flagRaw != 0 || reason == reasons.CloseSlow
	switch c.kind {
	case kindEvents:
		if reason != reasons.CloseSlow {
			last = appendRetry(nil, bye.ReconnectAfterMS)
		}
		if !silent {
			last = appendEvent(last, bye)
		}
	case kindWebSocket, kindEcho:
		if !silent {
			last = append(last, s.replyFrame(bye)...)
		}
		last = wsframe.AppendClose(last, reason.Code(), string(reason))
	}
	return last
}

// end closes a client for reason, behind its queue. The client has the linger time to close its
// side.
func (s *shard) end(i uint32, c *client, reason reasons.Close) { s.endSaying(i, c, reason, "") }

// endSaying is end with a detail besides the reason's word.
func (s *shard) endSaying(i uint32, c *client, reason reasons.Close, detail string) {
	if (reason == reasons.CloseSlow || reason == reasons.CloseOverload) && s.conns.Queued(i) {
		// The client doesn't read its queue, so nothing behind it would arrive.
		s.conns.Queue(i).DropUnsent()
	}
	s.conns.Finish(i, reason, s.farewell(c, reason, detail, byeSpread))
}

// echoClose ends an open WebSocket at the client's request, echoing its code
// (RFC 6455, 5.5.1).
func (s *shard) echoClose(i uint32, code ws.StatusCode) {
	if code == ws.StatusNoStatusRcvd {
		s.conns.Finish(i, reasons.CloseByClient, wsframe.AppendFrame(nil, ws.OpClose, nil))
		return
	}
	s.conns.Finish(i, reasons.CloseByClient, wsframe.AppendClose(nil, code, ""))
}

// errDismissed responds to a poll that the operator closed. The client may reconnect, as after a
// WebSocket's close code.
var errDismissed = &http1.Error{Status: 503, Code: string(reasons.CloseAdmin), Message: "the operator closed this connection"}

// dismissSpread bounds the reconnect delay of a client that the operator closes, after before
// others: a million closed at once reconnect over half a minute, as after a drain.
func dismissSpread(before int) time.Duration {
	return byeSpread + time.Duration(before)*30*time.Microsecond
}

// dismiss closes a connection for the operator, after before others in the same call. An open one
// gets the reason.
func (s *shard) dismiss(i uint32, c *client, before int) {
	switch {
	case c.phase != phaseOpen:
		s.conns.Release(i, reasons.CloseAdmin)
	case c.kind == kindPoll:
		c.flags |= flagClose
		o := s.connOptions(i, c)
		o.Lines = append(s.retryAfter(), "\r\n"...)
		answer := behindLead(c, [][]byte{errDismissed.Append(nil, o)})
		s.conns.Finish(i, reasons.CloseAdmin, answer[0])
	default:
		s.conns.Finish(i, reasons.CloseAdmin, s.farewell(c, reasons.CloseAdmin, "", dismissSpread(before)))
	}
}
