package client

import (
	"bytes"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// positions is where each of a loop's clients would resume: for WebSocket a
// position for each subscription, for the others one cursor. It exists only
// in runs that resume, in those with polls, and once a proxy is known; a
// position's memory is used again for the next.
type positions struct {
	of       [][]byte         // nil: none are kept
	cameBack map[uint32]int64 // ns, when event streams of several channels resumed, by slot; nil as of
}

// keepPositions has the positions of clients kept from now on.
func (l *loop) keepPositions() {
	if l.positions.of == nil {
		l.positions.of = make([][]byte, len(l.clients)*l.plan.ChannelSet.PerClient())
		l.cameBack = make(map[uint32]int64)
	}
}

// keeps reports whether a client's position is kept. A poll needs it for its
// next request, should this one get no answer.
func (l *loop) keeps(slot uint32) bool {
	return l.positions.of != nil && (l.plan.Resume || l.proxy.name != "" || l.kind(slot) == plan.Poll)
}

// resumes reports whether a client that opens now sends its position: always in runs that
// resume, and where a proxy has cut it.
func (l *loop) resumes(slot uint32) bool {
	s := l.heldScratch(slot)
	return l.plan.Resume || s != nil && s.resume
}

// setPosition notes where a client would resume one of its subscriptions.
func (l *loop) setPosition(sub uint32, id []byte) {
	l.positions.of[sub] = append(l.positions.of[sub][:0], id...)
}

// field returns the value of a string member in one of the wire's envelopes,
// in which no member before it has escapes.
func field(p []byte, key string) []byte {
	_, after, ok := bytes.Cut(p, []byte(key))
	if !ok {
		return nil
	}
	value, _, _ := bytes.Cut(after, []byte(`"`))
	return value
}

// arrived notes the position of a message or a confirmation for a WebSocket
// client's k-th subscription.
func (l *loop) arrived(slot uint32, k int, envelope []byte) {
	if !l.keeps(slot) || l.kind(slot) != plan.WebSocket {
		return
	}
	if id := field(envelope, `"id":"`); len(id) > 0 {
		l.setPosition(l.subscription(slot, k), id)
	}
}

// subscriptionOf finds which of a client's channels an envelope names.
func (l *loop) subscriptionOf(slot uint32, envelope []byte) (k int, ok bool) {
	name := field(envelope, `"channel":"`)
	var own [plan.MaxChannelName]byte
	for k := range l.plan.ChannelSet.PerClient() {
		if bytes.Equal(name, l.plan.ChannelSet.AppendName(own[:0], l.plan.ChannelSet.Of(l.number(slot), k))) {
			return k, true
		}
	}
	return 0, false
}

// cursor returns where a client of SSE or long-poll that opens goes on; nil at
// first.
func (l *loop) cursor(slot uint32) []byte {
	if l.positions.of == nil || !l.resumes(slot) {
		return nil
	}
	return l.position(slot)
}

// position returns where a client of SSE or long-poll is.
func (l *loop) position(slot uint32) []byte {
	return l.positions.of[l.subscription(slot, 0)]
}

// setCursor notes where a client of SSE or long-poll would go on.
func (l *loop) setCursor(slot uint32, cursor []byte) {
	if l.keeps(slot) && len(cursor) > 0 {
		l.setPosition(l.subscription(slot, 0), cursor)
	}
}

// resuming reports whether a WebSocket client has positions for all its
// channels, so that it subscribes with them.
func (l *loop) resuming(slot uint32) bool {
	if l.positions.of == nil || !l.resumes(slot) {
		return false
	}
	n := uint32(l.plan.ChannelSet.PerClient())
	for k := range n {
		if len(l.positions.of[slot*n+k]) == 0 {
			return false
		}
	}
	return true
}
