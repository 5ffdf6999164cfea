package fanout

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// oversize passes over messages that are larger than a client may be handed: one of
// them would fill the queues of all who get it, and have them closed.
type oversize struct {
	// Atomic.

	most   atomic.Int64 // bytes of the largest payload; 0: any
	passed atomic.Uint64

	// Guarded by mu.

	mu     sync.Mutex
	logged time.Time
	held   int // lines left out since
}

// LimitPayload has the broker hand no message to its members whose payload has
// more bytes. They get a gap of reason GapTooLarge in its place, as do those who
// come back for it, and the log a line, one a second at most.
func (b *Broker) LimitPayload(bytes int) { b.oversize.most.Store(int64(bytes)) }

// is reports whether a payload is too large.
func (o *oversize) is(payload string) bool {
	most := o.most.Load()
	return most > 0 && int64(len(payload)) > most
}

// note counts and logs a message that is passed over.
func (o *oversize) note(log *slog.Logger, channel string, bytes int) {
	o.passed.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if now.Sub(o.logged) < time.Second {
		o.held++
		return
	}
	args := []any{"channel", channel, "bytes", bytes, "most", o.most.Load()}
	if o.held > 0 {
		args = append(args, "repeated", o.held)
	}
	o.logged, o.held = now, 0
	log.Warn("a message is larger than limits.payload_bytes: no client gets it", args...)
}

// passOver has a gap in place of a message that is too large. The caller holds mu.
func (l *link) passOver(t *topic, m heldMessage) {
	l.b.oversize.note(l.b.log, l.topics.channel(t), len(m.payload))
	l.tellGap(t, GapTooLarge)
	if m.durable {
		// It is lost to those who come from before it, and not behind it.
		t.last = m.id
		t.flags = t.flags&^topicLostAfter | topicLostBefore
	}
}
