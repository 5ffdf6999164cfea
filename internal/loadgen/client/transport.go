package client

import (
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// transport is the client's side of one form of the wire. It keeps nothing per
// client: that is in the loop's slab and scratches. Its methods run on the
// loop's goroutine and must not block.
type transport interface {
	// appendRequest appends the request that opens the client in slot i.
	appendRequest(l *loop, dst []byte, i uint32) []byte
	// received takes the bytes p that came for client i, which belong to the
	// loop. It reports to the loop: opened, confirmed, message, fail, end.
	received(l *loop, i uint32, p []byte)
	// leave begins a polite end of a ready client; the loop waits for the peer
	// to close. False: there is nothing to say, the loop closes at once.
	leave(l *loop, i uint32) bool
}

// transport returns the transport of a client.
func (l *loop) transport(slot uint32) transport {
	switch l.plan.Kind(l.number(slot)) {
	case plan.SSE:
		return sse{}
	case plan.Poll:
		return poll{}
	}
	return websocket{}
}
