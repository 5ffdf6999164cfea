package client

import (
	"fmt"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// begin starts the account of a window on the loop's subscriptions.
func (l *loop) begin(sequence []uint32, movers bool, listeners, moved []uint32) {
	channels := &l.plan.ChannelSet
	per := channels.PerClient()
	for slot := range l.clients {
		c := &l.clients[slot]
		c.flags &^= counted
		if !c.up() || c.flags&slow != 0 || c.flags&moving != 0 && !movers {
			l.unhear(uint32(slot))
			continue
		}
		c.flags |= counted
		for k := range per {
			ch := channels.Of(l.number(uint32(slot)), k)
			l.ledger.Begin(uint32(slot*per+k), sequence[ch])
			listeners[ch]++
			if c.flags&moving != 0 {
				moved[ch]++
			}
		}
	}
	l.show() // the clients that are no longer heard of
}

// audit adds the messages that the loop's subscriptions miss.
func (l *loop) audit(published []uint32, lapses []account.Lapse, a *account.Audit) {
	channels := &l.plan.ChannelSet
	a.Exact = a.Exact && l.ledger.Exact()
	for slot := range l.clients {
		c := &l.clients[slot]
		if c.flags&counted == 0 {
			continue
		}
		for k := range channels.PerClient() {
			client := l.number(uint32(slot))
			ch := channels.Of(client, k)
			sub := uint32(slot*channels.PerClient() + k)
			n, first := l.ledger.Missing(sub, published[ch])
			if n > 0 && len(lapses) > 0 {
				n, first = a.Excuse(&l.ledger, sub, lapses, ch, published[ch], n, first)
			}
			if n == 0 {
				continue
			}
			a.Missing += n
			a.Incomplete++
			switch {
			case c.flags&moving != 0:
				a.Moved += n
			default:
				a.Cut += min(n, l.ledger.MissedAway(sub, published[ch]))
			}
			if len(a.Examples) < account.MaxExamples {
				a.Examples = append(a.Examples, fmt.Sprintf("client %d on %s: %d missing, the first is number %d of %d",
					client, channels.AppendName(nil, ch), n, first, published[ch]))
			}
		}
	}
}
