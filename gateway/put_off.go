package gateway

import (
	"time"

	"pushgate/internal/reactor"
)

// Clients that keep the loop busy have their turn behind those that don't: one that
// took long isn't read from again until all that did so before it were, and
// these get a part of the loop's time together. What they send meanwhile waits in the
// kernel, which slows them down. A loop that has nothing else to do reads from them
// at once. So a client that sends little, as good ones do, has to wait for the others
// of its kind only, whatever hundreds of others ask for.

const (
	// costly is how long a client may take at once without it being put off.
	costly = 100 * time.Microsecond
	// putOffShare is how long what costly clients send may take for each round of
	// the loop.
	putOffShare = reactor.Slice / 2
)

// putOffs are clients in the order in which they are read from again.
type putOffs struct {
	list []putOffClient
	left time.Duration // of their share; less than 0 where the last took more
}

// putOffClient is a client with the time that it took.
type putOffClient struct {
	key  reactor.Key
	took time.Duration
}

// putOff stops reading from a client until it's its turn.
func (s *shard) putOff(i uint32, c *conn, took time.Duration) {
	if c.flags&flagUnread != 0 {
		return
	}
	c.flags |= flagUnread
	if s.watchOut(i, c, c.out != 0) {
		s.putOffs.list = append(s.putOffs.list, putOffClient{reactor.Key{Slot: i, Gen: c.gen}, took})
	}
}

// readPutOff reads again from clients that were put off, for as long as their share
// lasts if they take as long as before.
func (s *shard) readPutOff() (more bool) {
	p := &s.putOffs
	for p.left = min(p.left+putOffShare, putOffShare); len(p.list) > 0 && p.left > 0; {
		next := p.list[0]
		p.list = p.list[1:]
		if c := s.conns.find(next.key.Slot, next.key.Gen); c != nil && c.flags&flagUnread != 0 {
			p.left -= next.took
			c.flags &^= flagUnread
			s.watchOut(next.key.Slot, c, c.out != 0)
		}
	}
	return len(p.list) > 0
}
