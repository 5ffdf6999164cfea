package fanout

import (
	"context"
	"time"
)

// lingerEnd is a topic's place in the queue of those without members. The
// linger is the same for all, so the queue is in the order of its ends, and
// the sweep looks at no topic before its time.
type lingerEnd struct {
	topic uint32
	due   uint32
}

// linger starts the time that a topic without members stays subscribed. The
// caller holds mu.
func (l *link) linger(id uint32, t *topic) {
	t.flags |= topicLingers
	t.due = l.now() + uint32(l.b.config.Linger.Milliseconds())
	l.lingering = append(l.lingering, lingerEnd{id, t.due})
}

// sweep forgets what nobody wants any more, until ctx ends.
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
		for l.sweepSome() {
		}
	}
}

// sweepSome bounds the time for which the lock is held, and reports whether
// there is more to do.
func (l *link) sweepSome() bool {
	const slice = 4096
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.rings.expire(&l.topics, now)
	fits := l.rings.fitSome(&l.topics, slice)
	n := 0
	for n < slice && n < len(l.lingering) && int32(now-l.lingering[n].due) >= 0 {
		l.lingered(l.lingering[n])
		n++
	}
	if l.lingering = l.lingering[n:]; len(l.lingering) == 0 {
		l.lingering = nil
	}
	if len(l.unwanted) > 0 {
		l.wake.send()
	}
	return n == slice || !fits
}

// lingered ends a topic's linger, if this is still the end of it.
func (l *link) lingered(e lingerEnd) {
	t := l.topics.at(e.topic)
	if t.name == "" || t.flags&topicLingers == 0 || t.due != e.due {
		return
	}
	switch {
	case !l.giveUpWaits(e.topic), t.state == topicSubscribing, t.state == topicConfirmed:
		l.linger(e.topic, t) // something is under way that needs the topic
	case t.state == topicLive:
		l.unwanted = append(l.unwanted, t.name)
		l.forget(e.topic, t)
	default:
		l.forget(e.topic, t)
	}
}
