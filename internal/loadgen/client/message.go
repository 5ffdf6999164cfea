package client

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// mostAway is the longest that a client lets itself be sent away for, in ms.
const mostAway = 3600_000

// inbox is a loop's part that takes messages.
type inbox struct {
	heard []uint64 // a bit for each subscription with a trial message; nil: the server is a gateway
}

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
			l.end(slot, account.ReasonForeign)
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
			l.scratch(slot).welcomed = true
		}
	case "unsubscribed", "published", "pong":
	default:
		l.counters.Unknown++
	}
}

// joined takes the confirmation of a channel.
func (l *loop) joined(slot uint32, p []byte) {
	if l.keeps(slot) && l.kind(slot) == plan.WebSocket {
		// A client that has a position keeps it until a message arrives: the history before
		// this confirmation may still be on its way.
		if k, ok := l.subscriptionOf(slot, p); ok && len(l.positions.of[l.subscription(slot, k)]) == 0 {
			l.arrived(slot, k, p)
		}
	}
	l.confirmed(slot, 1)
}

// dismissed takes the server's goodbye, and when it wants the client back.
func (l *loop) dismissed(slot uint32, p []byte) {
	l.counters.Byes++
	s := l.scratch(slot)
	s.bye = true
	if _, after, ok := bytes.Cut(p, []byte(`"reconnect_after_ms":`)); ok {
		if wait, ok := away(after); ok {
			s.after = wait
		}
	}
}

// away reads a time in milliseconds; false where it is none, or too long.
func away(p []byte) (time.Duration, bool) {
	digits := p[:len(p)-len(bytes.TrimLeft(p, "0123456789"))]
	ms, err := strconv.ParseUint(string(digits), 10, 64)
	return time.Duration(ms) * time.Millisecond, err == nil && ms <= mostAway
}

// refused takes an error message: before a client is ready it means that a subscription failed.
func (l *loop) refused(slot uint32, p []byte) {
	why := account.TextReason(account.ReasonErrorEvent, field(p, `"code":"`)).With(account.JSONMessage(p))
	if l.clients[slot].state == joining {
		l.end(slot, why)
		return
	}
	l.counters.Errors++
	l.tallies[account.Errors].Add(why, 1)
}

// stamped books the first stamp in p and returns the rest behind it, nil when
// there was none.
func (l *loop) stamped(slot uint32, p []byte) []byte {
	s, rest, r := account.FindStamp(p, l.plan.RunID)
	switch r {
	case account.StampNone, account.StampForeign:
		l.counters.Foreign++
		return rest
	case account.StampBad:
		l.counters.Damaged++
		return rest
	}
	l.book(slot, s, p)
	return rest
}

// book takes a message of this run, with the envelope of it.
func (l *loop) book(slot uint32, s account.Stamp, envelope []byte) {
	channels := &l.plan.ChannelSet
	k, ok := channels.Find(l.number(slot), s.Channel)
	switch {
	case !ok:
		l.counters.Misdirected++
	case s.Seq == 0 && l.plan.Foreign:
		l.hear(slot, l.subscription(slot, k))
	case s.Seq == 0 || int64(s.Seq) > l.plan.MaxSeq:
		l.counters.Damaged++
	case l.clients[slot].flags&counted == 0:
		l.counters.Aside++
		l.arrived(slot, k, envelope)
	case l.ledger.Observe(l.subscription(slot, k), s.Seq):
		l.latest = l.now
		if l.clients[slot].flags&moving != 0 {
			l.counters.Moved++
		}
		l.arrived(slot, k, envelope)
		account.Record(l.recorder[account.OfDelivery], l.now-s.Due)
		account.Record(l.recorder[account.OfSent], l.now-s.Sent)
	case s.Sent < l.cameBack[slot]:
		// No fault: an event stream's id says the time, and with several channels each is
		// replayed from ten seconds before it.
		l.ledger.Duplicated--
		l.counters.Replayed++
	}
}

// hear notes that a trial message has reached a client, if it is accounted for.
func (l *loop) hear(slot, sub uint32) {
	if l.clients[slot].flags&counted != 0 && l.heard[sub/64]&(1<<(sub%64)) == 0 {
		l.heard[sub/64] |= 1 << (sub % 64)
		l.counters.Heard++
	}
}

// unhear forgets the trial messages of a client that is no longer ready.
func (l *loop) unhear(slot uint32) {
	if len(l.heard) == 0 {
		return
	}
	per := uint32(l.plan.ChannelSet.PerClient())
	for sub := slot * per; sub < (slot+1)*per; sub++ {
		if l.heard[sub/64]&(1<<(sub%64)) != 0 {
			l.heard[sub/64] &^= 1 << (sub % 64)
			l.counters.Heard--
		}
	}
}

// greet subscribes a client of a foreign server, whose handshake is done. False:
// the client is gone.
func (l *loop) greet(slot uint32) bool {
	p := l.plan
	i := l.number(slot)
	var text []byte
	for _, hello := range p.Hello {
		times := 1
		if strings.Contains(hello, plan.PlaceChannel) {
			times = p.ChannelSet.PerClient()
		}
		for k := range times {
			text = p.AppendPlaced(text[:0], hello, i, k, false)
			if !l.sendFrame(slot, ws.OpText, text) {
				return false
			}
		}
	}
	l.confirmed(slot, p.ChannelSet.PerClient())
	return true
}

// foreignMessage takes a message of a foreign server, in which there may be
// messages of the run, whatever is around them.
func (l *loop) foreignMessage(slot uint32, p []byte) {
	for n := 0; ; n++ {
		s, rest, r := account.FindForeignStamp(p, l.plan.RunID)
		switch r {
		case account.StampNone:
			if n == 0 {
				l.counters.Other++
			}
			return
		case account.StampBad:
			l.counters.Damaged++
		default:
			l.book(slot, s, nil)
		}
		p = rest
	}
}
