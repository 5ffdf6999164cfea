package client

import (
	"math/rand/v2"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// RetryMS is a stream's reconnect delay, give or take a third, unless a bye sets another: clients cut
// off together, by a proxy or a crash, don't reconnect together.
const RetryMS = 3000

// DrawRetry returns a random reconnect delay for a stream, in milliseconds.
func DrawRetry() int64 { return RetryMS*2/3 + rand.Int64N(RetryMS*2/3) }

// ByeSpread bounds the reconnect delay of a client that was closed for a reason of its own. A
// rebalanced or drained one gets drain.reconnect.
const ByeSpread = RetryMS * time.Millisecond

// DrawReconnect returns a random delay within a time, in milliseconds.
func DrawReconnect(within time.Duration) int64 { return 1 + rand.Int64N(max(1, within.Milliseconds())) }

// End closes a client for a reason of its own, behind its queue; detail, if any, complements the
// reason's word. The client has the linger time to close its side.
func (h *Hub) End(i uint32, reason reasons.Close, detail string) {
	if (reason == reasons.CloseSlow || reason == reasons.CloseOverload) && h.Conns.Out.Queued(i) {
		// The client doesn't read its queue, so nothing behind it would arrive.
		h.Conns.Out.Queue(i).DropUnsent()
	}
	h.Close(i, reason, detail, ByeSpread)
}

// Close closes a client with its protocol's last bytes. It may reconnect within a time.
func (h *Hub) Close(i uint32, reason reasons.Close, detail string, within time.Duration) {
	h.Conns.Finish(i, reason, h.protocolOf(i).Bye(i, reason, detail, within))
}

// Leave asks a client to reconnect elsewhere or later.
func (h *Hub) Leave(i uint32, reason reasons.Close) {
	h.protocolOf(i).Leave(i, reason)
}

// dismissSpread bounds the reconnect delay of a client that the operator closes, after before
// others: a million closed at once reconnect over half a minute, as after a drain.
func dismissSpread(before int) time.Duration {
	return ByeSpread + time.Duration(before)*30*time.Microsecond
}

// Dismiss closes a connection for the operator, after before others in the same call. A client gets
// the reason.
func (h *Hub) Dismiss(i uint32, before int) {
	h.protocolOf(i).Dismiss(i, dismissSpread(before))
}
