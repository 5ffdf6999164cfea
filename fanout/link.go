package fanout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
)

// link is a subscribing connection to Redis, made again whenever it is lost, and the
// channels that belong to it. On a Cluster it is one to each server that owns some of
// these channels.
//
// It is made of layers, each of which calls only those below: subscriptions, the channels that
// Redis is to send; replays, for returning clients; and the dispatcher, which holds mu for all
// of them.
//
// The goroutines of a session, which waits for them: write (gathers SUBSCRIBE and UNSUBSCRIBE,
// and connects), resync (finds each confirmed channel's place in its stream), the replayers,
// one that waits for a failure, and for each connection receive (the only one that reads it; it
// and mu keep the order within a channel) and probe. They talk through the queues under mu and
// are woken by signals.
type link struct {
	subscriptions

	// Immutable.

	label     string
	probeName string // on a Cluster of a slot whose channels are the link's

	// Guarded by mu.

	probed    bool  // a probe has returned on this connection
	ending    bool  // the session has failed, and waits for its goroutines
	down      error // why the link doesn't deliver; nil: it does
	refused   bool  // resync's reads have failed for so long that the link is down
	reported  bool  // the log has this outage
	downSince time.Time
	readsFail time.Time // since when resync's reads do; zero: they don't
	moved     time.Time // since when the link follows a slot to another server; zero: it doesn't
}

// signal wakes one goroutine; signals sent while it works are one.
type signal chan struct{}

func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

var errStarting = errors.New("not connected yet")

func newLink(b *Broker, number, of int) *link {
	label := strconv.Itoa(number)
	l := &link{label: label, probeName: b.names.probe(b.node, label), down: errStarting, downSince: time.Now()}
	l.b, l.start, l.clock = b, b.start, hybridClock{start: b.start}
	l.topics = newTopics(b.names.prefix)
	l.held = make(map[uint32]*heldMessages)
	l.streams = streamReader{servers: b.servers, names: b.names, reads: &b.counters.historyReads, page: pageBytes}
	l.mostLent = max(pageBytes, lentBytes/of)
	l.replaysWake = make(signal, 1)
	l.waits = make(map[uint32]*replayWaits)
	l.wake, l.confirm = make(signal, 1), make(signal, 1)
	for n := 0; b.servers.Sharded() && linkOfSlot(upstream.Slot(l.probeName), of) != number; n++ {
		l.probeName = b.names.probe(b.node, label+"|"+strconv.Itoa(n))
	}
	l.lingering.most = (b.config.MaxLingering + of - 1 - number) / of
	l.rings.init(b.config.Ring, b.config.Ring.TotalBytes/of)
	return l
}

// The times between two tries to connect, on the average, and half as much more or less:
// a server that accepts again, or a password that is right again, is found within a
// second. A hundred nodes with two connections each are 400 tries a second, spread
// evenly, which an idle Redis hardly notices.
const firstDelay, mostDelay = 50 * time.Millisecond, 500 * time.Millisecond

// run keeps the link connected until ctx ends.
func (l *link) run(ctx context.Context) {
	delay := firstDelay
	for {
		wasUp := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		l.lost()
		l.b.servers.Refresh(ctx)
		l.b.probes.Refresh(ctx)
		if wasUp {
			delay = firstDelay
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay/2 + rand.N(delay)):
		}
		delay = min(2*delay, mostDelay)
		l.b.counters.reconnects.Add(1)
	}
}

// fail notes, as soon as a connection fails, that the link doesn't deliver, and reports
// whether it did. Nothing else of the session changes yet: a read that is under way may
// take as long as its timeout.
func (l *link) fail(err error) (wasUp bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wasUp = l.down == nil
	l.ending = true
	if wasUp && errors.Is(err, errSlotMoved) {
		l.follow(err)
	} else {
		l.setDown(err)
	}
	return wasUp
}

// setDown declares the link down, or down for another reason. The caller holds mu.
func (l *link) setDown(err error) {
	if l.down == nil {
		l.downSince = time.Now()
	}
	l.down, l.moved = err, time.Time{}
	if !l.reported {
		l.reported = true
		l.b.log.Error("redis does not deliver", "connection", l.label, "channels", l.topics.len(), "err", err)
	}
}

// noteRead notes how a read of resync ended. When they fail for as long as probes may,
// the link is down: it delivers as before, but nothing that is subscribed to now. Redis
// may be loading its data, or be a replica without its master.
func (l *link) noteRead(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.readsFail, l.refused = time.Time{}, false
		l.checkUp()
	case l.readsFail.IsZero():
		l.readsFail = time.Now()
	case !l.ending && time.Since(l.readsFail) > missedProbes*l.b.config.ProbeInterval:
		l.refused = true
		l.setDown(fmt.Errorf("read the streams: %w", err))
	}
}

// lost notes that the connection is gone, with all goroutines of its session: every channel is
// to be subscribed again, and every subscriber must catch up or get a gap.
func (l *link) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending, l.probed, l.refused = false, false, false
	l.readsFail = time.Time{}
	l.wanted, l.unwanted, l.confirmed, l.replaying = l.wanted[:0], nil, nil, nil
	l.pending, l.leaving = 0, 0
	l.releaseAll()
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

// checkUp declares the link up when a probe has returned, every channel that was live before
// delivers again, and others can be made live. The caller holds mu.
func (l *link) checkUp() {
	if l.down == nil && l.moved.IsZero() || l.ending || l.refused || !l.probed || l.again > 0 {
		return
	}
	if l.down == nil {
		l.followed()
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
	l.checkMoved()
	return l.down
}

func (l *link) stats() (s LinkStats, ringBytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checkMoved()
	s = LinkStats{
		Label: l.label, Up: l.down == nil,
		Channels: l.topics.len(), Lingering: l.lingering.n, Pending: l.pending + len(l.wanted),
	}
	if l.down != nil {
		s.Err = l.down.Error()
	}
	return s, int(l.rings.bytes.Load())
}

// errSlotMoved ends a session of a Cluster: a slot of the link's belongs to another
// server than the one that was subscribed to.
var errSlotMoved = errors.New("a slot has moved to another server")

// moveGrace is how many probe intervals a link may take to subscribe to its channels again
// where a slot of theirs has moved, before it counts as down. It takes 0.1 s, so that moving
// slots one by one, as an operator does for hours, leaves readiness alone. Messages published
// meanwhile are recovered, or reported lost, as after any outage.
const moveGrace = missedProbes

// follow begins the time of grace. One that has begun goes on: a link that follows slots
// and never arrives delivers nothing. The caller holds mu.
func (l *link) follow(err error) {
	if !l.moved.IsZero() {
		return
	}
	l.moved = time.Now()
	l.b.log.Info("redis moves a slot: its channels are subscribed to again", "connection", l.label, "channels", l.topics.len(), "err", err)
}

// followed ends the time of grace: the link delivers all its channels. The caller holds
// mu.
func (l *link) followed() {
	l.b.log.Info("redis delivers from the slot's new server", "connection", l.label,
		"after", time.Since(l.moved).Round(time.Millisecond))
	l.moved = time.Time{}
}

// checkMoved declares the link down when the grace is over. The caller holds mu.
func (l *link) checkMoved() {
	if !l.moved.IsZero() && time.Since(l.moved) > moveGrace*l.b.config.ProbeInterval {
		l.setDown(errSlotMoved)
	}
}

// sweep forgets unneeded channels and rings until ctx ends.
func (l *link) sweep(ctx context.Context) {
	c := l.b.config
	tick := time.NewTicker(min(time.Second, max(5*time.Millisecond, min(c.Linger, c.Ring.Age)/8)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.rings.over:
		}
		for more := true; more; {
			more = l.sweepSome()
		}
	}
}

// sweepSome bounds the time for which the lock is held, and reports whether there is more
// to do.
func (l *link) sweepSome() (more bool) {
	const slice = 4096
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checkMoved()
	now := l.now()
	l.rings.expire(&l.topics, now)
	all := l.rings.fitSome(&l.topics, slice)
	all = l.forgetLingering(slice, func(t *topic) bool { return int32(now-t.due) >= 0 }) && all
	l.checkUp() // a channel that was still to be resynced may be among the forgotten
	// Topics that can't go yet are not visited again and again.
	excess := min(slice, l.lingering.n-l.lingering.most)
	left := l.lingering.n - excess
	if excess > 0 {
		l.forgetLingering(excess, func(*topic) bool { return true })
	}
	return !all || excess == slice && l.lingering.n == left
}
