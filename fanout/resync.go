package fanout

import (
	"context"

	"github.com/pushgate/pushgate/fanout/message"
)

// resyncBatch is the most streams looked at in one pipeline.
const resyncBatch = 512

// unsynced is a confirmed topic as resync needs it without the lock.
type unsynced struct {
	topic uint32
	name  string
	again bool
	last  message.StreamID
}

// resync finds the place of each confirmed topic in its stream and makes the topic live,
// until ctx ends. A topic that was live before the connection was lost is caught up on
// the way.
func (l *link) resync(ctx context.Context) {
	var p pageSizer
	read := func(fn func() error) bool {
		return retry(ctx, &p, func() error {
			err := fn()
			if ctx.Err() == nil {
				l.noteRead(err)
			}
			return err
		})
	}
	for {
		batch := l.takeConfirmed()
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-l.confirm:
			}
			continue
		}
		for len(batch) > 0 {
			var some []unsynced
			var pages []page
			if !read(func() (err error) {
				some = batch[:min(len(batch), p.of(resyncBatch))]
				pages, err = l.streams.firstPages(ctx, some, p.of(firstPageEntries))
				return err
			}) {
				return
			}
			for _, u := range l.resyncAll(some, pages) {
				if !read(func() error { return l.resyncRest(ctx, u, &p) }) {
					return
				}
			}
			batch = batch[len(some):]
		}
	}
}

func (l *link) takeConfirmed() []unsynced {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.confirmed), resyncBatch)
	batch := make([]unsynced, n)
	for i, id := range l.confirmed[:n] {
		t := l.topics.at(id)
		batch[i] = unsynced{topic: id, name: t.name, again: t.flags&topicAgain != 0, last: t.last}
	}
	if l.confirmed = l.confirmed[n:]; len(l.confirmed) == 0 {
		l.confirmed = nil
	}
	return batch
}

// resyncAll makes the topics live whose first page says all, and returns the others.
func (l *link) resyncAll(batch []unsynced, pages []page) (rest []unsynced) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, u := range batch {
		t := l.topics.at(u.topic)
		switch {
		case !u.again:
			t.last = pages[i].tail
		case u.last.IsZero() && !pages[i].tail.IsZero():
			// The stream is new: only a closer look shows whether all of it is still there.
			rest = append(rest, u)
			continue
		default:
			l.catchUp(u.topic, t, pages[i], true)
			if pages[i].more {
				rest = append(rest, u)
				continue
			}
		}
		l.goLive(u.topic, t)
	}
	return rest
}

// catchUp reports the losses of an outage and delivers the durable messages that it has
// delayed, as far as the page goes. The caller holds mu.
func (l *link) catchUp(id uint32, t *topic, p page, first bool) {
	switch {
	case p.tail.Less(t.last):
		l.tellGap(t, GapHistory)
		l.goBack(id, t, p.tail)
	case !p.tail.IsZero() && !p.complete:
		l.tellGap(t, GapHistory)
	case first && (t.flags&topicPlain != 0 || p.tail.IsZero()):
		l.tellGap(t, GapBroker)
	}
	l.acceptPage(id, t, p)
}

// resyncRest delivers the rest of a stream page by page, then makes the topic live. Until
// then nothing else moves the topic on: live messages are held.
func (l *link) resyncRest(ctx context.Context, u unsynced, pageSizer *pageSizer) error {
	for {
		l.mu.Lock()
		t := l.topics.at(u.topic)
		last := t.last
		l.mu.Unlock()
		p, err := l.streams.pageAfter(ctx, u.name, last, pageSizer)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.catchUp(u.topic, t, p, last.IsZero())
		if !p.more {
			l.goLive(u.topic, t)
		}
		l.mu.Unlock()
		if !p.more {
			return nil
		}
	}
}

// goLive answers all waits for the topic. A topic that received more messages than could be
// held is resynced: the durable ones are in its stream, and the loss of plain ones is reported
// as in an outage. The caller holds mu.
func (l *link) goLive(id uint32, t *topic) {
	held := l.release(id)
	if held.over {
		l.confirmed = append(l.confirmed, id)
		l.confirm.send()
		return
	}
	t.state = topicLive
	if t.flags&topicAgain == 0 {
		t.at = l.clock.next()
		t.live = l.clock.span(t.at)
		t.flags |= topicWhole
	}
	if l.pending == subscribeWindow {
		l.wake.send()
	}
	l.pending--
	if t.flags&topicAgain != 0 {
		t.flags &^= topicAgain
		l.again--
		l.checkUp()
	}
	l.tellJoined(t, t.untold())
	for _, m := range held.list {
		l.accept(id, t, m)
	}
	l.queueReplay(id)
	l.trimLingering() // this one may be the first that can go
}
