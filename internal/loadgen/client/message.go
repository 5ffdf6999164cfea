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
	l     *loop
	heard []uint64 // a bit for each subscription with a trial message; nil: the server is a gateway
}

// messageType is how every message of the wire starts.
const messageType = `{"type":"`

// message takes one JSON object of the wire, or as much of its start as an
// envelope can have.
func (m *inbox) message(slot uint32, p []byte) {
	if m.l.plan.Foreign {
		m.foreignMessage(slot, p)
		return
	}
	rest, ok := bytes.CutPrefix(p, []byte(messageType))
	if !ok {
		m.l.counters.Unknown++
		if m.l.clients[slot].state == joining {
			m.l.end(slot, account.ReasonForeign)
		}
		return
	}
	word, rest, _ := bytes.Cut(rest, []byte(`"`))
	switch string(word) {
	case "message":
		m.stamped(slot, rest)
	case "subscribed":
		m.joined(slot, rest)
	case "gap":
		m.l.counters.Gaps++
	case "bye":
		m.dismissed(slot, rest)
	case "error":
		m.refused(slot, p)
	case "welcome":
		if m.l.clients[slot].state == joining {
			m.l.scratch(slot).welcomed = true
		}
	case "unsubscribed", "published", "pong":
	default:
		m.l.counters.Unknown++
	}
}

// joined takes the confirmation of a channel.
func (m *inbox) joined(slot uint32, p []byte) {
	if m.l.keeps(slot) && m.l.kind(slot) == plan.WebSocket {
		// A client that has a position keeps it until a message arrives: the history before
		// this confirmation may still be on its way.
		if k, ok := m.l.subscriptionOf(slot, p); ok && len(m.l.positions.of[m.l.subscription(slot, k)]) == 0 {
			m.l.arrived(slot, k, p)
		}
	}
	m.l.confirmed(slot, 1)
}

// dismissed takes the server's goodbye, and when it wants the client back.
func (m *inbox) dismissed(slot uint32, p []byte) {
	m.l.counters.Byes++
	s := m.l.scratch(slot)
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
func (m *inbox) refused(slot uint32, p []byte) {
	why := account.TextReason(account.ReasonErrorEvent, field(p, `"code":"`)).With(account.JSONMessage(p))
	if m.l.clients[slot].state == joining {
		m.l.end(slot, why)
		return
	}
	m.l.counters.Errors++
	m.l.tallies[account.Errors].Add(why, 1)
}

// stamped books the first stamp in p and returns the rest behind it, nil when
// there was none.
func (m *inbox) stamped(slot uint32, p []byte) []byte {
	s, rest, r := account.FindStamp(p, m.l.plan.RunID)
	switch r {
	case account.StampNone, account.StampForeign:
		m.l.counters.Foreign++
		return rest
	case account.StampBad:
		m.l.counters.Damaged++
		return rest
	}
	m.book(slot, s, p)
	return rest
}

// book takes a message of this run, with the envelope of it.
func (m *inbox) book(slot uint32, s account.Stamp, envelope []byte) {
	channels := &m.l.plan.ChannelSet
	k, ok := channels.Find(m.l.number(slot), s.Channel)
	switch {
	case !ok:
		m.l.counters.Misdirected++
	case s.Seq == 0 && m.l.plan.Foreign:
		m.hear(slot, m.l.subscription(slot, k))
	case s.Seq == 0 || int64(s.Seq) > m.l.plan.MaxSeq:
		m.l.counters.Damaged++
	case m.l.clients[slot].flags&counted == 0:
		m.l.counters.Aside++
		m.l.arrived(slot, k, envelope)
	case m.l.ledger.Observe(m.l.subscription(slot, k), s.Seq):
		m.l.latest = m.l.now
		if m.l.clients[slot].flags&moving != 0 {
			m.l.counters.Moved++
		}
		m.l.arrived(slot, k, envelope)
		account.Record(m.l.recorder[account.OfDelivery], m.l.now-s.Due)
		account.Record(m.l.recorder[account.OfSent], m.l.now-s.Sent)
	case s.Sent < m.l.cameBack[slot]:
		// No fault: an event stream's id says the time, and with several channels each is
		// replayed from ten seconds before it.
		m.l.ledger.Duplicated--
		m.l.counters.Replayed++
	}
}

// hear notes that a trial message has reached a client, if it is accounted for.
func (m *inbox) hear(slot, sub uint32) {
	if m.l.clients[slot].flags&counted != 0 && m.heard[sub/64]&(1<<(sub%64)) == 0 {
		m.heard[sub/64] |= 1 << (sub % 64)
		m.l.counters.Heard++
	}
}

// unhear forgets the trial messages of a client that is no longer ready.
func (m *inbox) unhear(slot uint32) {
	if len(m.heard) == 0 {
		return
	}
	per := uint32(m.l.plan.ChannelSet.PerClient())
	for sub := slot * per; sub < (slot+1)*per; sub++ {
		if m.heard[sub/64]&(1<<(sub%64)) != 0 {
			m.heard[sub/64] &^= 1 << (sub % 64)
			m.l.counters.Heard--
		}
	}
}

// greet subscribes a client of a foreign server, whose handshake is done. False:
// the client is gone.
func (m *inbox) greet(slot uint32) bool {
	p := m.l.plan
	i := m.l.number(slot)
	var text []byte
	for _, hello := range p.Hello {
		times := 1
		if strings.Contains(hello, plan.PlaceChannel) {
			times = p.ChannelSet.PerClient()
		}
		for k := range times {
			text = p.AppendPlaced(text[:0], hello, i, k, false)
			if !m.l.sendFrame(slot, ws.OpText, text) {
				return false
			}
		}
	}
	m.l.confirmed(slot, p.ChannelSet.PerClient())
	return true
}

// foreignMessage takes a message of a foreign server, in which there may be
// messages of the run, whatever is around them.
func (m *inbox) foreignMessage(slot uint32, p []byte) {
	for n := 0; ; n++ {
		s, rest, r := account.FindForeignStamp(p, m.l.plan.RunID)
		switch r {
		case account.StampNone:
			if n == 0 {
				m.l.counters.Other++
			}
			return
		case account.StampBad:
			m.l.counters.Damaged++
		default:
			m.book(slot, s, nil)
		}
		p = rest
	}
}
