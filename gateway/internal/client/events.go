package client

import (
	"context"
	"log/slog"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Events are what happens to the connections of a hub's clients. It is the layer above their
// requests.
type Events struct{ hub *Hub }

// Received takes the bytes of a client.
func (h *Events) Received(i uint32, p []byte) { h.hub.protocolOf(i).Received(i, p) }

// ReadSize returns how much to read from a client at once.
func (h *Events) ReadSize(i uint32) int { return h.hub.protocolOf(i).ReadSize(i) }

// HalfClosed notes that a client has closed its side and is owed something.
func (h *Events) HalfClosed(i uint32) { h.hub.protocolOf(i).HalfClosed(i) }

// Progress notes that a client reads its queue.
func (h *Events) Progress(i uint32) { h.hub.protocolOf(i).Heard(i) }

// Drained continues with a client that has read its queue.
func (h *Events) Drained(i uint32) { h.hub.catchUps.nextPage(i) }

// Due handles the deadline of a client.
func (h *Events) Due(i uint32) { h.hub.protocolOf(i).Due(i) }

// Responded ends the client whose request was responded to.
func (h *Events) Responded(i uint32) {
	h.hub.Rights.Set(i, nil)
	h.hub.at(i).flags = 0
}

// Closed notes that a connection has ended.
func (h *Events) Closed(i uint32, reason reasons.Close) {
	c := h.hub.at(i)
	if h.hub.Log.Enabled(context.Background(), slog.LevelDebug) {
		h.hub.Log.Debug("closed", "reason", reason, "transport", h.hub.Transport(i), "subject", h.hub.Rights.Subject(i),
			"connection", h.hub.Conns.ID(i), "address", h.hub.Conns.Addrs.Of(i))
	}
	if c.kind != 0 {
		h.hub.Stats.Clients[c.kind]--
		c.flags |= flagClosed
	}
}

// Reaped frees all that is kept for a closed client.
func (h *Events) Reaped(i uint32) {
	c := h.hub.at(i)
	h.hub.Channels.leaveAll(i)
	h.hub.protocols[c.kind].Free(i)
	h.hub.Rights.Set(i, nil)
	h.hub.catchUps.forget(i)
	*c = record{}
}

// GiveUp frees the unfinished requests of a closed client.
func (h *Events) GiveUp(i uint32) {
	h.hub.Tasks.Drop(i)
	h.hub.protocolOf(i).Free(i)
}
