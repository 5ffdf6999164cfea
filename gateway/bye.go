package gateway

import (
	"math/rand/v2"
	"time"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// byeSpread is the time that a client is told to come back within when it was
// closed here for a reason of its own. One that is sent elsewhere is told
// drain.reconnect.
const byeSpread = retryMS * time.Millisecond

// farewell returns the last bytes to an open stream or WebSocket: a bye with
// the reason and the client's own time within spread to come back at, then the
// close frame with the reason's code and word. Where bare payloads are spoken,
// and for a client that was closed because it doesn't read, there is no bye.
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

// errDismissed answers a poll that the operator closed. The client may come
// back, as after the close code of a WebSocket.
var errDismissed = &http1.Error{Status: 503, Code: string(reasons.CloseAdmin), Message: "the operator closed this connection"}

// dismissSpread is the time that a client which the operator closes is told to
// come back within, after so many others: a million closed at once come back
// over half a minute, as from a drain.
func dismissSpread(before int) time.Duration {
	return byeSpread + time.Duration(before)*30*time.Microsecond
}

// dismiss ends a connection for the operator, after so many others by the same
// call. An open one is told.
func (s *shard) dismiss(i uint32, c *conn, before int) {
	switch {
	case c.phase != phaseOpen:
		s.release(i, c, reasons.CloseAdmin)
	case c.kind == kindPoll:
		c.flags |= flagClose
		o := s.connOptions(i, c)
		o.Lines = append(s.retryAfter(), "\r\n"...)
		answer := behindLead(c, [][]byte{errDismissed.Append(nil, o)})
		s.endWith(i, c, reasons.CloseAdmin, answer[0])
	default:
		s.endWith(i, c, reasons.CloseAdmin, s.farewell(c, reasons.CloseAdmin, "", dismissSpread(before)))
	}
}
