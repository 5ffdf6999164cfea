package gateway

import (
	"math/rand/v2"
	"time"

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
