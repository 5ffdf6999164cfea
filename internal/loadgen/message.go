package loadgen

import "bytes"

// messageType is how every message of the wire starts.
const messageType = `{"type":"`

// message takes one JSON object of the wire, or as much of its start as an
// envelope can have.
func (l *loop) message(slot uint32, p []byte) {
	rest, ok := bytes.CutPrefix(p, []byte(messageType))
	if !ok {
		l.counters.Unknown++
		return
	}
	word, rest, _ := bytes.Cut(rest, []byte(`"`))
	switch string(word) {
	case "message":
		l.stamped(slot, rest)
	case "subscribed":
		l.confirmed(slot, 1)
	case "gap":
		l.counters.Gaps++
	case "bye":
		l.counters.Byes++
	case "error":
		l.refused(slot, rest)
	case "welcome", "unsubscribed", "published", "pong":
	default:
		l.counters.Unknown++
	}
}

// refused takes an error message: before a client is ready it means that a
// channel will not come.
func (l *loop) refused(slot uint32, p []byte) {
	var code []byte
	if _, after, ok := bytes.Cut(p, []byte(`"code":"`)); ok {
		code, _, _ = bytes.Cut(after, []byte(`"`))
	}
	why := foreignReason(reasonErrorEvent, code)
	if l.clients[slot].state == joining {
		l.end(slot, why)
		return
	}
	l.counters.Errors++
	l.errors.add(why, 1)
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
	channels := &l.plan.channels
	k, ok := channels.Find(l.number(slot), s.Channel)
	switch {
	case !ok:
		l.counters.Misdirected++
	case s.Seq == 0 || int64(s.Seq) > int64(l.plan.Messages):
		l.counters.Damaged++
	case l.ledger.observe(slot*uint32(channels.PerClient())+uint32(k), s.Seq):
		l.latest = l.now
		record(l.recorder.due, l.now-s.Due)
		record(l.recorder.sent, l.now-s.Sent)
	}
	return rest
}
