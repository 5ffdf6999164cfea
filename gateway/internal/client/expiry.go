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
func (l *Lifetimes) expiry(i uint32) (end uint32, ok bool) {
	g := l.hub.Rights.Grant(i)
	if g == nil || g.Expires.IsZero() {
		return 0, false
	}
	ahead := int64(g.Expires.Sub(l.hub.Net.Started)/conn.Tick) - int64(l.hub.Conns.Clock.Now())
	return l.hub.Conns.Clock.Now() + uint32(ahead), ahead < 1<<30
}

// Schedule sets a client's next deadline: due, or the expiry of its token or its maximum age if that
// is earlier.
func (l *Lifetimes) Schedule(i uint32, due uint32) {
	if end, ok := l.expiry(i); ok && int32(end-due) < 0 {
		due = end
	}
	if end, ok := l.oldAt(i); ok && int32(end-due) < 0 {
		due = end
	}
	l.hub.Conns.Clock.Set(i, due)
}

// Reschedule is Schedule with the present deadline, after the client's grant has changed.
func (l *Lifetimes) Reschedule(i uint32) {
	if at, ok := l.hub.Conns.Clock.Due(i); ok {
		l.Schedule(i, at)
	}
}

// Outlived closes a client whose token has expired, or whose connection is too old.
func (l *Lifetimes) Outlived(i uint32) bool {
	if end, ok := l.expiry(i); ok && int32(l.hub.Conns.Clock.Now()-end) >= 0 {
		l.hub.Stats.Tokens[auth.ReasonExpired]++
		l.hub.protocolOf(i).Expired(i)
		return true
	}
	if l.IsOld(i) {
		l.hub.protocolOf(i).Leave(i, reasons.CloseAge)
		return true
	}
	return false
}

// oldAt returns the tick at which a connection reaches its maximum age, and whether it has one.
func (l *Lifetimes) oldAt(i uint32) (end uint32, ok bool) {
	if l.hub.Options.MaxAge == 0 {
		return 0, false
	}
	return l.hub.Conns.Slots.Born(i) + dithered(conn.Ticks(l.hub.Options.MaxAge), i, l.hub.Conns.Slots.Gen(i)), true
}

// dithered returns an age shortened or prolonged by up to a tenth, always the same for a connection,
// so that clients that connected together don't reconnect together.
func dithered(age, slot, gen uint32) uint32 {
	hash := (slot ^ gen<<16) * 2654435761
	return age - age/10 + uint32(uint64(age)/5*uint64(hash>>16)>>16)
}

// IsOld reports whether a connection has reached its maximum age.
func (l *Lifetimes) IsOld(i uint32) bool {
	end, ok := l.oldAt(i)
	return ok && int32(l.hub.Conns.Clock.Now()-end) >= 0
}

// TokenRefused is the message for a client whose token is missing or has expired while it was
// connected.
func TokenRefused(reason auth.Reason) string { return "token refused: " + string(reason) }
