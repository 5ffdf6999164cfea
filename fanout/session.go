package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// session is one life of a link's connections: one, or on a Cluster one to each
// server that owns slots of the link's channels. When any of them fails, all
// are given up and the next session finds out anew who owns what.
type session struct {
	// Immutable.

	l    *link
	ctx  context.Context
	fail context.CancelCauseFunc

	// Counts the goroutines; only they start further ones.

	wg sync.WaitGroup

	// Owned by session until write runs, by write while it does, then by
	// session again.

	feeds map[*redis.Client]*feed // by the server's client for commands
}

// session connects and uses the connections until one fails, of which the link
// takes note at once. It reports whether the link delivered until then.
func (l *link) session(parent context.Context) (wasUp bool) {
	ctx, fail := context.WithCancelCause(parent)
	s := &session{l: l, ctx: ctx, fail: fail, feeds: make(map[*redis.Client]*feed)}
	if _, err := s.feed(l.probeName); err != nil {
		fail(err)
	} else {
		s.wg.Go(s.write)
		s.wg.Go(func() { l.settle(ctx) })
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
	for _, f := range s.feeds {
		f.close()
	}
	return wasUp
}

// feed returns the connection to the server that a channel, with its prefix,
// belongs to, and makes it if there is none yet.
func (s *session) feed(full string) (*feed, error) {
	server, err := s.l.b.servers.of(s.ctx, full)
	if err != nil {
		return nil, err
	}
	if f := s.feeds[server]; f != nil {
		return f, nil
	}
	name, err := s.probeName(server)
	if err != nil {
		return nil, err
	}
	f, err := newFeed(s.ctx, s.l, server, name)
	if err != nil {
		return nil, err
	}
	s.feeds[server] = f
	s.wg.Go(func() { s.fail(f.receive(s.ctx)) })
	s.wg.Go(func() { s.fail(f.probe(s.ctx)) })
	return f, nil
}

// probeName returns a name of the link's own that belongs to the server.
func (s *session) probeName(server *redis.Client) (string, error) {
	name := s.l.probeName
	// One that owns a single slot has such a name among 150,000, all but surely.
	for n := range 1 << 20 {
		if owner, err := s.l.b.servers.of(s.ctx, name); err != nil || owner == server {
			return name, err
		}
		name = s.l.probeName + "|" + strconv.Itoa(n)
	}
	return "", fmt.Errorf("%s owns no slot", server.Options().Addr)
}

// write sends what the queues hold until the session ends.
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

// send subscribes to channels, or unsubscribes. On a Cluster a command takes
// those of one slot.
func (s *session) send(names []string, subscribe bool) error {
	sharded := s.l.b.servers.cluster != nil
	if sharded {
		slices.SortFunc(names, func(a, b string) int { return slot(a) - slot(b) })
	}
	for len(names) > 0 {
		n := len(names)
		if sharded {
			if i := slices.IndexFunc(names, func(name string) bool { return slot(name) != slot(names[0]) }); i > 0 {
				n = i
			}
		}
		f, err := s.feed(names[0])
		if err != nil {
			return err
		}
		if subscribe {
			s.l.b.counters.subscribes.Add(1)
			err = f.subscribe(s.ctx, names[:n]...)
		} else {
			s.l.b.counters.unsubscribes.Add(1)
			err = f.unsubscribe(s.ctx, names[:n]...)
		}
		if err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}
