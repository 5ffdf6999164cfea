package fanout

import "sync/atomic"

// lentBytes is how much of streams may be read that all links together have handed
// over, and that is still needed: what waits between Redis and the clients' queues.
// Each replayer may add a page to it.
const lentBytes = 16 << 20

// loan is what one read of a stream brought, as long as somebody who got some of it
// needs it.
type loan struct {
	link  *link
	bytes int
	users atomic.Int32
}

// lend returns a loan with one user. The caller holds mu.
func (l *link) lend(bytes int) *loan {
	p := &loan{link: l, bytes: bytes}
	p.users.Store(1)
	l.lent += bytes
	return p
}

// add returns p for one more user.
func (p *loan) add() *loan {
	p.users.Add(1)
	return p
}

// release ends the use by one of them.
func (p *loan) release() {
	if p.users.Add(-1) == 0 {
		p.link.mu.Lock()
		p.free()
		p.link.mu.Unlock()
	}
}

// releaseLocked is release for who holds the link's mu.
func (p *loan) releaseLocked() {
	if p.users.Add(-1) == 0 {
		p.free()
	}
}

func (p *loan) free() {
	p.link.lent -= p.bytes
	p.link.replays.send()
}
