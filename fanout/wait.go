package fanout

import (
	"slices"
	"sync/atomic"
)

// Wait is a replay that was asked for.
type Wait struct {
	// Immutable.

	since  Position
	time   bool // since is a time, not a message of the channel
	newest int  // so many of the newest messages are wanted, whatever since is; 0: what follows since
	done   func(Replay)

	// Guarded by the link's mu.

	lost bool // since can't be found: everything that is left, and a gap

	// Atomic.

	gone atomic.Bool
}

// Cancel says that nobody waits any more. It doesn't block and may be called
// at any time; done may be called all the same, or not.
func (w *Wait) Cancel() { w.gone.Store(true) }

// replayWaits is who waits for a replay of one topic. One read of the stream
// answers all of them: it starts at the earliest position.
type replayWaits struct {
	list   []*Wait
	most   int  // list is looked through for those who have gone when it's as long
	queued bool // a replayer has it or will have it
	taken  bool // a replayer has it
}

// minWaits is how many may have gone before it's worth looking.
const minWaits = 8

// add appends w. While Redis is away clients come, give up and come back for
// as long as that takes, so those who have gone must not stay until it answers:
// the list is at most twice as long as those who wait, and a bit.
func (s *replayWaits) add(w *Wait) {
	s.list = append(s.list, w)
	if len(s.list) >= max(s.most, minWaits) {
		s.forgetGone()
		s.most = 2 * len(s.list)
	}
}

func (s *replayWaits) forgetGone() {
	s.list = slices.DeleteFunc(s.list, func(w *Wait) bool { return w.gone.Load() })
}

// queueReplay hands a live topic's waits to the replayers. The caller holds mu.
func (l *link) queueReplay(id uint32) {
	w := l.waits[id]
	if w == nil || w.queued {
		return
	}
	if len(l.replaying) >= 2*len(l.waits)+minWaits {
		l.replaying = slices.DeleteFunc(l.replaying, func(id uint32) bool { return !l.inQueue(id) })
	}
	w.queued = true
	l.replaying = append(l.replaying, id)
	l.replays.send()
}

// inQueue reports whether a place in the queue stands for waits that no
// replayer has yet. It doesn't where their topic was given up. The caller holds
// mu.
func (l *link) inQueue(id uint32) bool {
	w := l.waits[id]
	return w != nil && w.queued && !w.taken
}

// nextReplay takes the first topic from the queue.
func (l *link) nextReplay() (id uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.replaying) > 0 && !ok {
		id, l.replaying = l.replaying[0], l.replaying[1:]
		ok = l.inQueue(id)
	}
	if ok {
		l.waits[id].taken = true
	}
	if len(l.replaying) > 0 {
		l.replays.send() // for the next replayer
	}
	return id, ok
}

// giveUpWaits forgets the waits of a topic if all who waited have gone, and
// reports whether there are none. The caller holds mu.
func (l *link) giveUpWaits(id uint32) bool {
	w := l.waits[id]
	if w == nil {
		return true
	}
	w.forgetGone()
	if len(w.list) > 0 || w.taken {
		return false
	}
	delete(l.waits, id)
	return true
}
