package fanout

import (
	"context"

	"github.com/pushgate/pushgate/fanout/message"
)

// settleBatch is the most streams looked at in one pipeline.
const settleBatch = 512

// unsettled is what settle needs to know of a topic without the lock.
type unsettled struct {
	topic uint32
	name  string
	again bool
	last  message.StreamID
}

// settle finds the place of each confirmed topic in its stream and makes the
// topic live, until ctx ends. A topic that was live before the connection was
// lost is caught up on the way.
func (l *link) settle(ctx context.Context) {
	var p portion
	read := func(fn func() error) bool {
		return retry(ctx, &p, func() error {
			err := fn()
			if ctx.Err() == nil {
				l.settleRead(err)
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
			var some []unsettled
			var pages []page
			if !read(func() (err error) {
				some = batch[:min(len(batch), p.of(settleBatch))]
				pages, err = l.firstPages(ctx, some, p.of(firstPageEntries))
				return err
			}) {
				return
			}
			for _, u := range l.settleAll(some, pages) {
				if !read(func() error { return l.settleRest(ctx, u, &p) }) {
					return
				}
			}
			batch = batch[len(some):]
		}
	}
}

func (l *link) takeConfirmed() []unsettled {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.confirmed), settleBatch)
	batch := make([]unsettled, n)
	for i, id := range l.confirmed[:n] {
		t := l.topics.at(id)
		batch[i] = unsettled{topic: id, name: t.name, again: t.flags&topicAgain != 0, last: t.last}
	}
	if l.confirmed = l.confirmed[n:]; len(l.confirmed) == 0 {
		l.confirmed = nil
	}
	return batch
}

// settleAll makes the topics live whose first page says all, and returns the
// others.
func (l *link) settleAll(batch []unsettled, pages []page) (rest []unsettled) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, u := range batch {
		t := l.topics.at(u.topic)
		switch {
		case !u.again:
			t.last = pages[i].tail
		case u.last.IsZero() && !pages[i].tail.IsZero():
			// The stream is new: only a closer look tells whether all of it
			// is still there.
			rest = append(rest, u)
			continue
		default:
			l.makeUp(u.topic, t, pages[i], true)
			if pages[i].more {
				rest = append(rest, u)
				continue
			}
		}
		l.goLive(u.topic, t)
	}
	return rest
}

// makeUp tells what an outage has lost and delivers the durable messages that
// it has delayed, as far as the page goes. The caller holds mu.
func (l *link) makeUp(id uint32, t *topic, p page, first bool) {
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

// settleRest delivers page by page what a stream has more, then makes the
// topic live. Until then nothing else moves the topic on: live messages are
// held.
func (l *link) settleRest(ctx context.Context, u unsettled, portion *portion) error {
	for {
		l.mu.Lock()
		t := l.topics.at(u.topic)
		last := t.last
		l.mu.Unlock()
		p, err := l.pageAfter(ctx, u.name, last, portion)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.makeUp(u.topic, t, p, last.IsZero())
		if !p.more {
			l.goLive(u.topic, t)
		}
		l.mu.Unlock()
		if !p.more {
			return nil
		}
	}
}

// goLive answers who waited for the topic. One of which messages came that there
// was no room to hold is settled anew: the durable ones are in its stream, and the
// loss of plain ones is told like that in an outage. The caller holds mu.
func (l *link) goLive(id uint32, t *topic) {
	held := l.release(id)
	if held.over {
		l.confirmed = append(l.confirmed, id)
		l.confirm.send()
		return
	}
	t.state = topicLive
	if t.flags&topicAgain == 0 {
		t.at = l.moment()
		t.live = l.span(t.at)
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
