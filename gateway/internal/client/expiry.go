package client

import (
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Lifetimes are the deadlines of clients: of their heartbeats, their tokens and their connections.
type Lifetimes struct{ hub *Hub }

// expiry returns the tick at which a client's token expires, and whether that is within the next
// three years: ticks further ahead look like past ones.
func (h *Lifetimes) expiry(i uint32) (end uint32, ok bool) {
	g := h.hub.Rights.Grant(i)
	if g == nil || g.Expires.IsZero() {
		return 0, false
	}
	ahead := int64(g.Expires.Sub(h.hub.Net.Started)/conn.Tick) - int64(h.hub.Conns.Clock.Now())
	return h.hub.Conns.Clock.Now() + uint32(ahead), ahead < 1<<30
}

// Schedule sets a client's next deadline: due, or the expiry of its token or its maximum age if that
// is earlier.
func (h *Lifetimes) Schedule(i uint32, due uint32) {
	if end, ok := h.expiry(i); ok && int32(end-due) < 0 {
		due = end
	}
	if end, ok := h.oldAt(i); ok && int32(end-due) < 0 {
		due = end
	}
	h.hub.Conns.Clock.Set(i, due)
}

// Reschedule is Schedule with the present deadline, after the client's grant has changed.
func (h *Lifetimes) Reschedule(i uint32) {
	if at, ok := h.hub.Conns.Clock.Due(i); ok {
		h.Schedule(i, at)
	}
}

// Outlived closes a client whose token has expired, or whose connection is too old.
func (h *Lifetimes) Outlived(i uint32) bool {
	if end, ok := h.expiry(i); ok && int32(h.hub.Conns.Clock.Now()-end) >= 0 {
		h.hub.Stats.Tokens[auth.ReasonExpired]++
		h.hub.protocolOf(i).Expired(i)
		return true
	}
	if h.IsOld(i) {
		h.hub.protocolOf(i).Leave(i, reasons.CloseAge)
		return true
	}
	return false
}

// oldAt returns the tick at which a connection reaches its maximum age, and whether it has one.
func (h *Lifetimes) oldAt(i uint32) (end uint32, ok bool) {
	if h.hub.Options.MaxAge == 0 {
		return 0, false
	}
	return h.hub.Conns.Slots.Born(i) + dithered(conn.Ticks(h.hub.Options.MaxAge), i, h.hub.Conns.Slots.Gen(i)), true
}

// dithered returns an age shortened or prolonged by up to a tenth, always the same for a connection,
// so that clients that connected together don't reconnect together.
func dithered(age, slot, gen uint32) uint32 {
	hash := (slot ^ gen<<16) * 2654435761
	return age - age/10 + uint32(uint64(age)/5*uint64(hash>>16)>>16)
}

// IsOld reports whether a connection has reached its maximum age.
func (h *Lifetimes) IsOld(i uint32) bool {
	end, ok := h.oldAt(i)
	return ok && int32(h.hub.Conns.Clock.Now()-end) >= 0
}

// TokenRefused is the message for a client whose token is missing or has expired while it was
// connected.
func TokenRefused(reason auth.Reason) string { return "token refused: " + string(reason) }
