package client

import (
	"bytes"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// proxy is a loop's knowledge of a proxy between its clients and the gateway: there is one
// where answers name it (Via or Server, which a gateway doesn't send), or where it is the
// program that listens at the target. A connection that ends without a word is then the proxy's
// doing or the gateway's, it is unknown which. It is no loss: the client reconnects as a real
// one does, with the position of its last message.
type proxy struct {
	l    *loop
	name string           // empty: no proxy is known
	away map[uint32]int64 // ns, when a client was cut that is not back, by slot
}

// StrandedAfter is how long a client may be away before it counts as stranded: where a proxy
// cuts without end, some client is always away.
const StrandedAfter = 5 * time.Second

// foundProxy notes that there is a proxy. From now on positions are kept.
func (x *proxy) foundProxy(name string) {
	if x.l.plan.Foreign || x.name != "" || name == "" { // a foreign server itself answers
		return
	}
	x.name, x.away = name, make(map[uint32]int64)
	x.l.keepPositions()
}

// intermediary returns the name of the program that says in an answer's head that it passed the
// answer on, without its version.
func (h *head) intermediary() string {
	name := h.server
	if len(h.via) > 0 {
		// RFC 9110 section 7.6.3: protocol, then name or address, then a comment.
		_, name, _ = bytes.Cut(h.via, []byte(" "))
	}
	name = bytes.TrimSpace(name)
	if i := bytes.IndexAny(name, "/ ,;("); i >= 0 {
		name = name[:i]
	}
	return string(account.Printable(name[:min(len(name), account.MaxReasonText)]))
}

func (x *proxy) isAway(slot uint32) bool {
	_, away := x.away[slot]
	return away
}

// stranded counts the clients that are away for too long.
func (x *proxy) stranded(now int64) (n uint64) {
	for _, since := range x.away {
		if account.Elapsed(now, since) > StrandedAfter {
			n++
		}
	}
	return n
}

// cutByProxy books the end of a ready client's connection that the proxy may
// have brought about. False: it was not the proxy, as where the gateway has said
// goodbye before. In a storm the run takes care of the clients.
func (x *proxy) cutByProxy(slot uint32, why account.Reason) bool {
	if x.name == "" || x.l.recovering || !why.FromProxy() {
		return false
	}
	if s := x.l.heldScratch(slot); s != nil && s.bye {
		return false
	}
	x.l.counters.ProxyCut++
	x.l.tallies[account.Cuts].Add(why, 1)
	x.away[slot] = x.l.now
	per := uint32(x.l.plan.ChannelSet.PerClient())
	for sub := slot * per; sub < (slot+1)*per; sub++ {
		x.l.ledger.Leave(sub)
	}
	return true
}

// forget removes a client from those that are to reconnect.
func (x *proxy) forget(slot uint32) { delete(x.away, slot) }

// at returns the account of the address that a client connects to; nil where
// there is only one.
func (l *loop) at(slot uint32) *account.Address {
	if len(l.addresses) == 0 {
		return nil
	}
	return &l.addresses[l.plan.AddressOf(l.number(slot))]
}

// newAddresses makes the accounts of a target with several addresses.
func newAddresses(t *plan.Target) []account.Address {
	if len(t.Addrs) < 2 {
		return nil
	}
	all := make([]account.Address, len(t.Addrs))
	for i, a := range t.Addrs {
		all[i].Address = a.String()
	}
	return all
}
