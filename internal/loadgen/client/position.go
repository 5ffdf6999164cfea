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
	l        *loop
	of       [][]byte         // nil: none are kept
	cameBack map[uint32]int64 // ns, when event streams of several channels resumed, by slot; nil as of
}

// keepPositions has the positions of clients kept from now on.
func (p *positions) keepPositions() {
	if p.of == nil {
		p.of = make([][]byte, len(p.l.clients)*p.l.plan.ChannelSet.PerClient())
		p.cameBack = make(map[uint32]int64)
	}
}

// keeps reports whether a client's position is kept. A poll needs it for its
// next request, should this one get no answer.
func (p *positions) keeps(slot uint32) bool {
	return p.of != nil && (p.l.plan.Resume || p.l.proxy.name != "" || p.l.kind(slot) == plan.Poll)
}

// resumes reports whether a client that opens now sends its position: always in runs that
// resume, and where a proxy has cut it.
func (p *positions) resumes(slot uint32) bool {
	s := p.l.heldScratch(slot)
	return p.l.plan.Resume || s != nil && s.resume
}

// setPosition notes where a client would resume one of its subscriptions.
func (p *positions) setPosition(sub uint32, id []byte) {
	p.of[sub] = append(p.of[sub][:0], id...)
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
func (p *positions) arrived(slot uint32, k int, envelope []byte) {
	if !p.keeps(slot) || p.l.kind(slot) != plan.WebSocket {
		return
	}
	if id := field(envelope, `"id":"`); len(id) > 0 {
		p.setPosition(p.l.subscription(slot, k), id)
	}
}

// subscriptionOf finds which of a client's channels an envelope names.
func (p *positions) subscriptionOf(slot uint32, envelope []byte) (k int, ok bool) {
	name := field(envelope, `"channel":"`)
	var own [plan.MaxChannelName]byte
	for k := range p.l.plan.ChannelSet.PerClient() {
		if bytes.Equal(name, p.l.plan.ChannelSet.AppendName(own[:0], p.l.plan.ChannelSet.Of(p.l.number(slot), k))) {
			return k, true
		}
	}
	return 0, false
}

// cursor returns where a client of SSE or long-poll that opens goes on; nil at
// first.
func (p *positions) cursor(slot uint32) []byte {
	if p.of == nil || !p.resumes(slot) {
		return nil
	}
	return p.position(slot)
}

// position returns where a client of SSE or long-poll is.
func (p *positions) position(slot uint32) []byte {
	return p.of[p.l.subscription(slot, 0)]
}

// setCursor notes where a client of SSE or long-poll would go on.
func (p *positions) setCursor(slot uint32, cursor []byte) {
	if p.keeps(slot) && len(cursor) > 0 {
		p.setPosition(p.l.subscription(slot, 0), cursor)
	}
}

// resuming reports whether a WebSocket client has positions for all its
// channels, so that it subscribes with them.
func (p *positions) resuming(slot uint32) bool {
	if p.of == nil || !p.resumes(slot) {
		return false
	}
	for k := range p.l.plan.ChannelSet.PerClient() {
		if len(p.of[p.l.subscription(slot, k)]) == 0 {
			return false
		}
	}
	return true
}
