package conn

import (
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// Clients that keep the loop busy are demoted, as tasks are in a multilevel feedback queue: the
// loop reads from a client that took long only after all those demoted before it, and all of them
// together get a share of its time. Their further bytes wait in the kernel, which slows them down.
// An otherwise idle loop reads from them at once. So a client that sends little, as good ones do,
// waits only for others of its kind, whatever hundreds of demoted ones request.

const (
	// Costly is the time a client may take at once without being demoted.
	Costly = 100 * time.Microsecond
	// demotedShare is the time for reading from demoted clients in each round of the loop.
	demotedShare = reactor.Slice / 2
)

// costlyTicks is how long the loop remembers that a client took long. Doing so once isn't enough
// to be demoted: the loop may have been descheduled, on a busy machine.
const costlyTicks = 20

// demoted are clients in the order in which they will be read from again.
type demoted struct {
	list []demotedClient
	left time.Duration // of their share; less than 0 where the last took more

	lately, before map[reactor.Key]struct{} // took long since the tick, and in the period before it
	since          uint32                   // tick
}

// again notes that a client took long, and reports whether it already did so in the last
// costlyTicks, or twice as many at most.
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

// Demote stops reading from a client that took long until its turn.
func (r *Reading) Demote(i uint32, took time.Duration) {
	if c := r.set.Slots.at(i); c.state == stateOpen {
		r.demote(i, c, took)
	}
}

func (r *Reading) demote(i uint32, c *socket, took time.Duration) {
	if c.flags&flagDemoted != 0 {
		return
	}
	c.flags |= flagDemoted
	if r.watch(i, c) {
		r.demoted.list = append(r.demoted.list, demotedClient{reactor.Key{Slot: i, Gen: c.gen}, took})
	}
}

// readDemoted reads from demoted clients again, until their share is used up, assuming that each
// takes as long as before.
func (r *Reading) readDemoted() (more bool) {
	p := &r.demoted
	for p.left = min(p.left+demotedShare, demotedShare); len(p.list) > 0 && p.left > 0; {
		next := p.list[0]
		p.list = p.list[1:]
		if c := r.set.Slots.find(next.key.Slot, next.key.Gen); c != nil && c.flags&flagDemoted != 0 {
			p.left -= next.took
			c.flags &^= flagDemoted
			r.watch(next.key.Slot, c)
		}
	}
	return len(p.list) > 0
}
