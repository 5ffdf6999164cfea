package gateway

import (
	"math/rand/v2"
	"time"

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
func (s *shard) farewell(c *conn, reason reasons.Close, detail string, spread time.Duration) (last []byte) {
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
func (s *shard) dismiss(i uint32, c *conn, before int) {
	switch {
	case c.phase != phaseOpen:
		s.release(i, c, reasons.CloseAdmin)
	case c.kind == kindPoll:
		c.flags |= flagClose
		o := s.connOptions(i, c)
		o.Lines = append(s.retryAfter(), "\r\n"...)
		answer := behindLead(c, [][]byte{errDismissed.Append(nil, o)})
		s.finish(i, c, reasons.CloseAdmin, answer[0])
	default:
		s.finish(i, c, reasons.CloseAdmin, s.farewell(c, reasons.CloseAdmin, "", dismissSpread(before)))
	}
}
