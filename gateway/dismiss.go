package gateway

import (
	"time"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

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
