package client

import (
	"fmt"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

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
