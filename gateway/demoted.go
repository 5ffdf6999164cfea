package gateway

import (
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// Clients that keep the loop busy are demoted, as tasks are in a multilevel feedback
// queue: the loop reads from one that took long only after all those that did so
// before it, and all of them together get a part of its time. The bytes that they send
// meanwhile wait in the kernel, which slows them down. A loop that has nothing else to
// do reads from them at once. So a client that sends little, as good ones do, waits
// only for others that do, whatever hundreds of demoted ones ask for.

const (
	// costly is how long a client may take at once without being demoted.
	costly = 100 * time.Microsecond
	// demotedShare is how long what costly clients send may take for each round of
	// the loop.
	demotedShare = reactor.Slice / 2
)

// costlyTicks is for how long it's remembered that a client took long. Whoever does so
// once isn't demoted for it: the loop may have been away itself, on a busy machine.
const costlyTicks = 20

// demoted are clients in the order in which they are read from again.
type demoted struct {
	list []demotedClient
	left time.Duration // of their share; less than 0 where the last took more

	lately, before map[reactor.Key]struct{} // who took long since the tick, and in the time before it
	since          uint32                   // tick
}

// again takes note that a client took long, and reports whether it did so before,
// costlyTicks ago or twice as many at most.
func (d *demoted) again(k reactor.Key, now uint32) bool {
	switch passed := now - d.since; {
	case d.lately == nil, passed >= 2*costlyTicks:
		d.before, d.lately, d.since = nil, make(map[reactor.Key]struct{}), now
	case passed >= costlyTicks:
		d.before, d.lately, d.since = d.lately, make(map[reactor.Key]struct{}), now
	}
	_, lately := d.lately[k]
	_, before := d.before[k]
	d.lately[k] = struct{}{}
	return lately || before
}

// demotedClient is a client with the time that it took.
type demotedClient struct {
	key  reactor.Key
	took time.Duration
}

// demote stops reading from a client until it's its turn.
func (s *shard) demote(i uint32, c *conn, took time.Duration) {
	if c.flags&flagDemoted != 0 {
		return
	}
	c.flags |= flagDemoted
	if s.watchOut(i, c, c.out != 0) {
		s.demoted.list = append(s.demoted.list, demotedClient{reactor.Key{Slot: i, Gen: c.gen}, took})
	}
}

// readDemoted reads again from clients that were demoted, for as long as their share
// lasts if they take as long as before.
func (s *shard) readDemoted() (more bool) {
	p := &s.demoted
	for p.left = min(p.left+demotedShare, demotedShare); len(p.list) > 0 && p.left > 0; {
		next := p.list[0]
		p.list = p.list[1:]
		if c := s.conns.find(next.key.Slot, next.key.Gen); c != nil && c.flags&flagDemoted != 0 {
			p.left -= next.took
			c.flags &^= flagDemoted
			s.watchOut(next.key.Slot, c, c.out != 0)
		}
	}
	return len(p.list) > 0
}
