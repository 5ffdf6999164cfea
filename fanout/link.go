package fanout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// link is one subscribing connection to Redis, made again whenever it is
// lost, and the channels that belong to it.
//
// The goroutines of a session, all started by session and waited for there:
// receive (the only one that reads the connection; order within a channel
// comes from it and mu), write (gathers SUBSCRIBE and UNSUBSCRIBE), settle
// (finds each confirmed channel's place in its stream), probe, and the
// replayers. They talk through the queues under mu and are woken by signals.
type link struct {
	// Immutable.

	b         *Broker
	label     string
	probeName string
	client    *redis.Client
	gate      *gate
	start     time.Time

	// Signals: sent by anyone who filled the queue of that name, received by
	// the goroutine that empties it, never closed.

	wake, confirm, replays signal

	// Atomic.

	heard atomic.Int64 // when the last probe came back, nanoseconds after start

	// Guarded by mu.

	mu        sync.Mutex
	topics    topics
	rings     rings
	wanted    []uint32 // topics to subscribe to
	unwanted  []string // names to unsubscribe from
	confirmed []uint32 // topics to settle
	lingering []lingerEnd
	held      map[uint32][]heldMessage // what came for a topic while it was confirmed
	waits     map[uint32]*replayWaits
	replaying []uint32 // topics of waits that a replayer should look at
	pending   int      // topics subscribing or confirmed
	again     int      // topics with topicAgain
	probed    bool     // a probe has come back on this connection
	down      error    // why the link doesn't deliver; nil: it does
	reported  bool     // the log has this outage
	downSince time.Time
	floor     uint32 // above the seq of every topic that was forgotten
	at        uint64 // the last moment
}

// signal wakes one goroutine; signals that come while it works are one.
type signal chan struct{}

func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

var errStarting = errors.New("not connected yet")

func newLink(b *Broker, label string, options *redis.Options) *link {
	own := *options
	g := &gate{dial: redis.NewDialer(options)}
	own.Dialer = g.Dial
	// The client's only connection is the one of its PubSub.
	own.PipelinePoolSize = -1
	l := &link{
		b:         b,
		label:     label,
		probeName: b.names.probe(b.node, label),
		client:    redis.NewClient(&own),
		gate:      g,
		start:     time.Now(),
		wake:      make(signal, 1),
		confirm:   make(signal, 1),
		replays:   make(signal, 1),
		topics:    topics{prefix: len(b.names.prefix)},
		held:      make(map[uint32][]heldMessage),
		waits:     make(map[uint32]*replayWaits),
		down:      errStarting,
		downSince: time.Now(),
	}
	l.rings.init(b.config.Ring, b.config.Ring.TotalBytes/b.config.Connections)
	return l
}

func (l *link) close() error { return l.client.Close() }

func (l *link) now() uint32 { return millis(l.start) }

// run keeps the link connected until ctx ends.
func (l *link) run(ctx context.Context) {
	const first, most = 50 * time.Millisecond, 5 * time.Second
	delay := first
	for {
		wasUp, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		l.lost(err)
		if wasUp {
			delay = first
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay/2 + rand.N(delay)):
		}
		delay = min(2*delay, most)
		l.b.counters.reconnects.Add(1)
	}
}

// session makes a connection and uses it until it fails. It reports whether
// the link delivered meanwhile.
func (l *link) session(parent context.Context) (wasUp bool, err error) {
	ctx, fail := context.WithCancelCause(parent)
	l.gate.allow()
	pubsub := l.client.Subscribe(ctx) // connects at the first channel
	stop := context.AfterFunc(ctx, l.gate.cut)
	var wg sync.WaitGroup
	defer func() {
		fail(err)
		wg.Wait()
		stop()
		_ = pubsub.Close()
		err = context.Cause(ctx)
		wasUp = l.ready() == nil
	}()
	if err := pubsub.Subscribe(ctx, l.probeName); err != nil {
		return false, err
	}
	l.heard.Store(int64(time.Since(l.start)))
	wg.Go(func() { l.write(ctx, pubsub, fail) })
	wg.Go(func() { l.settle(ctx) })
	wg.Go(func() { l.probe(ctx, fail) })
	for range replayers {
		wg.Go(func() { l.replayer(ctx) })
	}
	return false, l.receive(ctx, pubsub)
}

// receive reads the connection until it fails.
func (l *link) receive(ctx context.Context, pubsub *redis.PubSub) error {
	// The probes come back more often than that. A timeout must end the
	// session in any case: it may have struck within a reply.
	timeout := (missedProbes + 1) * l.b.config.ProbeInterval
	for {
		reply, err := pubsub.ReceiveTimeout(ctx, timeout)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		switch reply := reply.(type) {
		case *redis.Message:
			if reply.Channel == l.probeName {
				l.probeHeard()
			} else {
				l.message(reply.Channel, reply.Payload)
			}
		case *redis.Subscription:
			if reply.Kind == "subscribe" {
				l.subscribed(reply.Channel)
			}
		}
	}
}

// lost takes note that the connection is gone: every channel is to be
// subscribed again, and whoever was served must be told or caught up.
func (l *link) lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down == nil {
		l.downSince = time.Now()
	}
	l.down, l.probed = err, false
	if !l.reported {
		l.reported = true
		l.b.log.Error("redis does not deliver", "connection", l.label, "channels", l.topics.len(), "err", err)
	}
	l.wanted, l.unwanted, l.confirmed, l.replaying = l.wanted[:0], nil, nil, nil
	l.pending = 0
	clear(l.held)
	for _, w := range l.waits {
		w.queued, w.taken = false, false
	}
	l.topics.each(func(id uint32, t *topic) {
		if t.state == topicLive {
			t.flags |= topicAgain
			l.again++
		}
		t.state = topicWanted
		l.wanted = append(l.wanted, id)
	})
}

// checkUp declares the link up when a probe came back and every channel that
// was live before delivers again. The caller holds mu.
func (l *link) checkUp() {
	if l.down == nil || !l.probed || l.again > 0 {
		return
	}
	l.down = nil
	l.reported = false
	l.b.log.Info("redis delivers", "connection", l.label, "channels", l.topics.len(),
		"after", time.Since(l.downSince).Round(time.Millisecond))
}

// ready returns why the link doesn't deliver, or nil.
func (l *link) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

func (l *link) stats() (s LinkStats, ringBytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s = LinkStats{Label: l.label, Up: l.down == nil, Channels: l.topics.len(), Pending: l.pending + len(l.wanted)}
	if l.down != nil {
		s.Err = l.down.Error()
	}
	return s, l.rings.bytes
}
