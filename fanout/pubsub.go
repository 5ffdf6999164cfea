package fanout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
)

// pubsub is one subscribing connection to one server. It lives as long as the session
// that made it, or shorter.
type pubsub struct {
	// Immutable.

	*upstream.Subscriber
	l         *link
	server    *redis.Client // for commands
	probeName string

	// Atomic.

	heard atomic.Int64 // when the last probe returned, nanoseconds after the link's start
}

// newPubsub connects to a server and subscribes to the probe channel. The connection is
// cut when ctx ends.
func newPubsub(ctx context.Context, l *link, server *redis.Client, probeName string) (*pubsub, error) {
	p := &pubsub{Subscriber: l.b.servers.Subscribe(ctx, server), l: l, server: server, probeName: probeName}
	stop := context.AfterFunc(ctx, p.Cut)
	if err := p.Add(ctx, probeName); err != nil {
		stop()
		p.Close()
		return nil, err
	}
	p.heard.Store(int64(time.Since(l.start)))
	return p, nil
}

// receive reads the connection until it fails.
func (p *pubsub) receive(ctx context.Context) error {
	// The probes return more often than that. A timeout must end the session in any case: it
	// may have struck within a reply.
	timeout := (missedProbes + 1) * p.l.b.config.ProbeInterval
	for {
		reply, err := p.ReceiveTimeout(ctx, timeout)
		switch {
		case redis.HasErrorPrefix(err, "NOPERM"):
			// Redis refuses all channels of the command without saying which one it means.
			return fmt.Errorf("subscribe: the user lacks a right, such as &%s*: %w", p.l.b.config.Prefix, err)
		case p.l.b.servers.Moved(err):
			return fmt.Errorf("%w: %w", errSlotMoved, err)
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		switch reply := reply.(type) {
		case *redis.Message:
			if reply.Channel == p.probeName {
				p.probeHeard(reply.Payload)
			} else {
				p.l.message(reply.Channel, reply.Payload)
			}
		case *redis.Subscription:
			switch {
			case reply.Channel == p.probeName && reply.Kind != "sunsubscribe":
			case reply.Kind == "subscribe", reply.Kind == "ssubscribe":
				p.l.subscribed(reply.Channel)
			case reply.Kind == "sunsubscribe" && (reply.Channel == p.probeName || p.l.follows(reply.Channel)):
				// It is unsolicited.
				return fmt.Errorf("%w: that of %s", errSlotMoved, strconv.Quote(reply.Channel))
			case reply.Kind == "unsubscribe", reply.Kind == "sunsubscribe":
				p.l.unsubscribed()
			}
		}
	}
}

// missedProbes in a row mean that Redis doesn't deliver.
const missedProbes = 3

var errNotOwner = errors.New("the server has lost its slots to another")

// probe publishes to the connection's own channel at each interval, and returns an error when
// three intervals passed without one returning. Redis may be reachable and still not deliver:
// stopped, swapping, or cut off in one direction only, and TCP notices that after minutes. A
// server of a Cluster that isn't the owner of the probe's slot any more doesn't count either:
// it may still deliver, as a replica does.
func (p *pubsub) probe(ctx context.Context) error {
	interval := p.l.b.config.ProbeInterval
	tick := time.NewTicker(interval)
	defer tick.Stop()
	missed := 0
	for {
		sent := time.Since(p.l.start)
		err := p.sendProbe(ctx, interval)
		if err != nil {
			p.l.b.probes.Refresh(ctx)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if owner, lost := p.l.b.servers.Of(ctx, p.probeName); lost != nil || owner != p.server {
			err = errors.Join(err, errNotOwner)
		} else if time.Duration(p.heard.Load()) >= sent {
			missed = 0
			continue
		}
		missed++
		p.l.b.counters.probesMissed.Add(1)
		if missed == missedProbes {
			if err == nil {
				err = context.DeadlineExceeded
			}
			return fmt.Errorf("%d probes did not come back: %w", missedProbes, err)
		}
	}
}

func (p *pubsub) sendProbe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := p.l.b.probes
	sent := strconv.FormatInt(int64(time.Since(p.l.start)), 10)
	return s.Publish(ctx, s.Client, p.probeName, sent).Err()
}

// probeHeard is called by receive for each probe that returns, with the time at which it was
// sent, in nanoseconds since the link's start.
func (p *pubsub) probeHeard(sent string) {
	l := p.l
	now := int64(time.Since(l.start))
	p.heard.Store(now)
	at, err := strconv.ParseInt(sent, 10, 64)
	if observe := l.b.roundTrip.Load(); observe != nil && err == nil && at <= now {
		(*observe)(time.Duration(now - at))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.probed {
		l.probed = true
		l.checkUp()
	}
}
