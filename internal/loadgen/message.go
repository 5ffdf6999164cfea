package loadgen

import (
	"bytes"
	"strconv"
	"time"
)

// mostAway is the longest that a client lets itself be sent away for, in ms.
const mostAway = 3600_000

// messageType is how every message of the wire starts.
const messageType = `{"type":"`

// message takes one JSON object of the wire, or as much of its start as an
// envelope can have.
func (l *loop) message(slot uint32, p []byte) {
	if l.plan.Foreign {
		l.foreignMessage(slot, p)
		return
	}
	rest, ok := bytes.CutPrefix(p, []byte(messageType))
	if !ok {
		l.counters.Unknown++
		if l.clients[slot].state == joining {
			l.end(slot, ReasonForeign)
		}
		return
	}
	word, rest, _ := bytes.Cut(rest, []byte(`"`))
	switch string(word) {
	case "message":
		l.stamped(slot, rest)
	case "subscribed":
		l.joined(slot, rest)
	case "gap":
		l.counters.Gaps++
	case "bye":
		l.dismissed(slot, rest)
	case "error":
		l.refused(slot, p)
	case "welcome":
		if l.clients[slot].state == joining {
			l.borrow(slot).welcomed = true
		}
	case "unsubscribed", "published", "pong":
	default:
		l.counters.Unknown++
	}
}

// joined takes the confirmation of a channel.
func (l *loop) joined(slot uint32, p []byte) {
	if l.keeps(slot) && l.plan.kind(l.number(slot)) == WebSocket {
		// A client that has a position keeps it until a message comes: the
		// history before this confirmation may still be on its way.
		if k, ok := l.subscriptionOf(slot, p); ok && len(l.positions[slot*uint32(l.plan.channels.PerClient())+uint32(k)]) == 0 {
			l.arrived(slot, k, p)
		}
	}
	l.confirmed(slot, 1)
}

// dismissed takes the server's goodbye, and when it wants the client back.
func (l *loop) dismissed(slot uint32, p []byte) {
	l.counters.Byes++
	s := l.borrow(slot)
	s.bye = true
	if _, after, ok := bytes.Cut(p, []byte(`"reconnect_after_ms":`)); ok {
		if wait, ok := away(after); ok {
			s.after = wait
		}
	}
}

// setRetry takes an event stream's retry line, which says when to come again
// should the stream be the server's way to put the client off.
func (l *loop) setRetry(slot uint32, ms []byte) {
	if wait, ok := away(ms); ok && l.clients[slot].state == joining {
		l.borrow(slot).retry = wait
	}
}

// away reads a time in milliseconds; false where it is none, or too long.
func away(p []byte) (time.Duration, bool) {
	digits := p[:len(p)-len(bytes.TrimLeft(p, "0123456789"))]
	ms, err := strconv.ParseUint(string(digits), 10, 64)
	return time.Duration(ms) * time.Millisecond, err == nil && ms <= mostAway
}

// refused takes an error message: before a client is ready it means that a
// channel will not come.
func (l *loop) refused(slot uint32, p []byte) {
	var code []byte
	if _, after, ok := bytes.Cut(p, []byte(`"code":"`)); ok {
		code, _, _ = bytes.Cut(after, []byte(`"`))
	}
	why := foreignReason(reasonErrorEvent, code).with(jsonMessage(p))
	if l.clients[slot].state == joining {
		l.end(slot, why)
		return
	}
	l.counters.Errors++
	l.tallies[tallyErrors].add(why, 1)
}

// stamped books the first stamp in p and returns what is behind it, nil when
// there was none.
func (l *loop) stamped(slot uint32, p []byte) []byte {
	s, rest, r := findStamp(p, l.plan.run)
	switch r {
	case stampNone, stampForeign:
		l.counters.Foreign++
		return rest
	case stampBad:
		l.counters.Damaged++
		return rest
	}
	l.book(slot, s, p)
	return rest
}

// book takes a message of this run, with the envelope in which it came.
func (l *loop) book(slot uint32, s Stamp, envelope []byte) {
	channels := &l.plan.channels
	k, ok := channels.Find(l.number(slot), s.Channel)
	switch {
	case !ok:
		l.counters.Misdirected++
	case s.Seq == 0 && l.plan.Foreign:
		l.hear(slot, slot*uint32(channels.PerClient())+uint32(k))
	case s.Seq == 0 || int64(s.Seq) > l.plan.mostSeq:
		l.counters.Damaged++
	case l.clients[slot].flags&counted == 0:
		l.counters.Aside++
		l.arrived(slot, k, envelope)
	case l.ledger.observe(slot*uint32(channels.PerClient())+uint32(k), s.Seq):
		l.latest = l.now
		if l.clients[slot].flags&moving != 0 {
			l.counters.Moved++
		}
		l.arrived(slot, k, envelope)
		record(l.recorder[ofDelivery], l.now-s.Due)
		record(l.recorder[ofSent], l.now-s.Sent)
	case l.replays(slot, s):
		l.ledger.duplicated--
		l.counters.Replayed++
	}
}

// replays reports whether a message that came again is no fault: an event
// stream's id says the time, and with several channels each is replayed from
// ten seconds before it.
func (l *loop) replays(slot uint32, s Stamp) bool {
	at, resumed := l.cameBack[slot]
	return resumed && s.Sent < at
}
