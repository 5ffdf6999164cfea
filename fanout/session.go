package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
)

// session is one life of a link's connections: one, or on a Cluster one to each server
// that owns slots of the link's channels. When any of them fails, all are given up and
// the next session finds the owners anew.
type session struct {
	// Immutable.

	l    *link
	ctx  context.Context
	fail context.CancelCauseFunc

	// Counts the goroutines; only they start further ones.

	wg sync.WaitGroup

	// Owned by session until write runs, by write while it does, then by session again.

	pubsubs map[*redis.Client]*pubsub // by the server's client for commands
}

// session connects and uses the connections until one fails, of which the link takes note
// at once. It reports whether the link delivered until then.
func (l *link) session(parent context.Context) (wasUp bool) {
	ctx, fail := context.WithCancelCause(parent)
	s := &session{l: l, ctx: ctx, fail: fail, pubsubs: make(map[*redis.Client]*pubsub)}
	if _, err := s.pubsub(l.probeName); err != nil {
		fail(err)
	} else {
		s.wg.Go(s.write)
		s.wg.Go(func() { l.resync(ctx) })
		for range replayers {
			s.wg.Go(func() { l.replayer(ctx) })
		}
	}
	s.wg.Go(func() {
		<-ctx.Done()
		if parent.Err() == nil {
			wasUp = l.fail(context.Cause(ctx))
		}
	})
	s.wg.Wait()
	for _, p := range s.pubsubs {
		p.Close()
	}
	return wasUp
}

// pubsub returns the connection to the server that a channel, with its prefix, belongs
// to, and makes it if there is none yet.
func (s *session) pubsub(full string) (*pubsub, error) {
	server, err := s.l.b.servers.Of(s.ctx, full)
	if err != nil {
		return nil, err
	}
	if p := s.pubsubs[server]; p != nil {
		return p, nil
	}
	name, err := s.probeName(server)
	if err != nil {
		return nil, err
	}
	p, err := newPubsub(s.ctx, s.l, server, name)
	if err != nil {
		return nil, err
	}
	s.pubsubs[server] = p
	s.wg.Go(func() { s.fail(p.receive(s.ctx)) })
	s.wg.Go(func() { s.fail(p.probe(s.ctx)) })
	return p, nil
}

// probeName returns a name of the link's own that belongs to the server.
func (s *session) probeName(server *redis.Client) (string, error) {
	name := s.l.probeName
	// One that owns a single slot has such a name among 150,000, all but surely.
	for n := range 1 << 20 {
		if owner, err := s.l.b.servers.Of(s.ctx, name); err != nil || owner == server {
			return name, err
		}
		name = s.l.probeName + "|" + strconv.Itoa(n)
	}
	return "", fmt.Errorf("%s owns no slot", server.Options().Addr)
}

// write empties the queues until the session ends.
func (s *session) write() {
	for {
		names, subscribe := s.l.nextBatch()
		if len(names) == 0 {
			select {
			case <-s.ctx.Done():
				return
			case <-s.l.wake:
			}
			continue
		}
		if err := s.send(names, subscribe); err != nil {
			s.fail(fmt.Errorf("subscribe: %w", err))
			return
		}
	}
}

// send subscribes to channels, or unsubscribes. On a Cluster each command has the channels of
// one slot.
func (s *session) send(names []string, subscribe bool) error {
	sharded := s.l.b.servers.Sharded()
	if sharded {
		slices.SortFunc(names, func(a, b string) int { return upstream.Slot(a) - upstream.Slot(b) })
	}
	for len(names) > 0 {
		n := len(names)
		if sharded {
			if i := slices.IndexFunc(names, func(name string) bool { return upstream.Slot(name) != upstream.Slot(names[0]) }); i > 0 {
				n = i
			}
		}
		p, err := s.pubsub(names[0])
		if err != nil {
			return err
		}
		if subscribe {
			s.l.b.counters.subscribes.Add(1)
			err = p.Add(s.ctx, names[:n]...)
		} else {
			s.l.b.counters.unsubscribes.Add(1)
			err = p.Remove(s.ctx, names[:n]...)
		}
		if err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}
