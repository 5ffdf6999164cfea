package gateway

import "pushgate/gateway/http1"

// errDismissed answers a poll that the operator closed. The client may come
// back, as after the close code of a WebSocket.
var errDismissed = &http1.Error{Status: 503, Code: string(CloseAdmin), Message: "the operator closed this connection"}

// dismiss ends a connection for the operator. An open one is told.
func (s *shard) dismiss(i uint32, c *conn) {
	switch {
	case c.phase != phaseOpen:
		s.release(i, c, CloseAdmin)
	case c.kind == kindPoll:
		c.flags |= flagClose
		s.endWith(i, c, CloseAdmin, errDismissed.Append(nil, s.connOptions(c)))
	default:
		s.end(i, c, CloseAdmin)
	}
}
