package conn

import (
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Handler is the layer that knows what the bytes mean. Its methods are called on the loop, with a
// connection's slot; each may close that connection or others, see mark.
type Handler interface {
	// Accepted begins a connection.
	Accepted(i uint32)
	// ReadSize returns the most bytes to read at once, up to ReadBuffer.
	ReadSize(i uint32) int
	// Received takes the client's next bytes. They are valid until it returns.
	Received(i uint32, p []byte)
	// HalfClosed handles the end of the client's side.
	HalfClosed(i uint32)
	// BadProxyHeader refuses a connection of a trusted proxy that doesn't name its client.
	BadProxyHeader(i uint32, err error)
	// PlainOnTLS refuses a connection whose client sends a request without TLS to a listener that
	// expects it. The response is sent without TLS too.
	PlainOnTLS(i uint32)
	// OverAddress notes that the client which a proxy has named has too many connections: its
	// request is to be refused. Over TLS it is declined instead, like one that is rejected before it
	// has a slot.
	OverAddress(i uint32)
	// Due handles the expiry of the connection's deadline.
	Due(i uint32)

	// Progress notes that the client has taken bytes of its queue, which isn't empty yet or was
	// emptied by that.
	Progress(i uint32)
	// Drained notes that the queue is empty.
	Drained(i uint32)
	// Lossy returns how to queue output that the kernel refused message by message, because some
	// of it may be dropped later; ok is false for output that stays in one piece.
	Lossy(i uint32, o *Out) (kind queue.Kind, ok bool)
	// Overflow bounds a queue after output was added to it.
	Overflow(i uint32, q *queue.Queue)
	// Evict closes a client with one of the largest queues, because all of them take too much
	// memory.
	Evict(i uint32)

	// EvictInput closes a client with one of the largest inputs, because all of them take too much
	// memory, and gives up what the handler holds for it.
	EvictInput(i uint32)

	// Decline returns the response to a client that is rejected for reason before it has a slot;
	// head is its request so far. The response is valid until the next one is made, and nil if the
	// head is incomplete, unless must is set. served says that the request was answered after all.
	Decline(head []byte, reason reasons.Reject, must bool) (response []byte, served bool)

	// Closed notes that a connection has ended: from now on sends to it are dropped.
	Closed(i uint32, reason reasons.Close)
	// Reaped frees all that the layers above keep for a closed connection, at the end of the turn.
	Reaped(i uint32)
}
