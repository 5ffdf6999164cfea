package fanout

import (
	"iter"
	"slices"
	"sync/atomic"

	"github.com/pushgate/pushgate/fanout/message"
)

// Request is a requested replay. Millions may wait while Redis is away: one takes 80 bytes,
// which is a size class of Go's allocator.
type Request struct {
	// Atomic.

	gone atomic.Bool

	// Immutable.

	size   int32 // of the entries, where it's known
	since  message.Position
	told   uint64 // of the page before: see Replay
	done   func(Replay)
	newest int32 // so many of the newest messages are wanted, whatever since is; 0: those after since
	time   bool  // since is a time, not a message of the channel

	// Guarded by the link's mu.

	lost  bool             // since can't be honoured: the newest that are left, and a gap
	found bool             // start is known, and no more than the newest config.ReplayMessages follow it
	start message.StreamID // the messages that it gets begin after it
}

// Cancel gives up the request. It doesn't block and may be called at any time; done may be
// called all the same, or not.
func (w *Request) Cancel() { w.gone.Store(true) }

// from returns where w is to be read from, once that is known.
func (w *Request) from() (start message.StreamID, known bool) {
	switch {
	case w.found:
		return w.start, true
	case w.newest > 0, w.lost:
		return message.StreamID{}, false
	}
	return w.since.StreamID(), w.since.Durable()
}

// lose notes that since can't be honoured.
func (w *Request) lose() { w.lost, w.found = true, false }

// isAhead reports whether w's position is beyond t's last message.
func (w *Request) isAhead(t *topic) bool {
	return w.newest == 0 && !w.lost && w.since.Durable() && t.last.Less(w.since.StreamID())
}

// replayWaits are the waits for replays of one topic, the oldest first. A read of the stream is
// for the first of them, and answers all whose positions are within it.
type replayWaits struct {
	list   []*Request
	most   int  // list is searched for gone waits when it's as long
	queued bool // a replayer has it or will have it
	taken  bool // a replayer has it
}

// minWaits is how many may have gone before it's worth looking.
const minWaits = 8

// add appends w. While Redis is away clients connect, give up and reconnect for as long as that
// takes, so gone waits must not stay until it answers: the list is at most twice as long as
// without them, and a bit.
func (s *replayWaits) add(w *Request) {
	s.list = append(s.list, w)
	if len(s.list) >= max(s.most, minWaits) {
		s.forgetGone()
		s.most = 2 * len(s.list)
	}
}

// waitsPerTurn is how many waits are looked at before the link's mu is released.
const waitsPerTurn = 1024

// inTurns yields the waits of a topic. There may be hundreds of thousands, so mu, which
// the caller holds, is released for a moment after each turn: the link's state may be
// another when the next wait is yielded. Some are passed over where the list was
// compacted meanwhile; they stay in it for the next call.
func (l *replays) inTurns(waits *replayWaits) iter.Seq[*Request] {
	return func(yield func(*Request) bool) {
		for i := 0; i < len(waits.list); i++ {
			if w := waits.list[i]; !w.gone.Load() && !yield(w) {
				return
			}
			if (i+1)%waitsPerTurn == 0 {
				l.mu.Unlock()
				l.mu.Lock()
			}
		}
	}
}

func (s *replayWaits) forgetGone() {
	s.list = slices.DeleteFunc(s.list, func(w *Request) bool { return w.gone.Load() })
}

// queueReplay hands a live topic's waits to the replayers. The caller holds mu.
func (l *replays) queueReplay(id uint32) {
	w := l.waits[id]
	if w == nil || w.queued {
		return
	}
	if len(l.replaying) >= 2*len(l.waits)+minWaits {
		l.replaying = slices.DeleteFunc(l.replaying, func(id uint32) bool { return !l.inQueue(id) })
	}
	w.queued = true
	l.replaying = append(l.replaying, id)
	l.replaysWake.send()
}

// inQueue reports whether a place in the queue stands for waits that no replayer has yet.
// It doesn't where their topic was given up. The caller holds mu.
func (l *replays) inQueue(id uint32) bool {
	w := l.waits[id]
	return w != nil && w.queued && !w.taken
}

// nextReplay takes the first topic from the queue, with its waits.
func (l *replays) nextReplay() (id uint32, waits *replayWaits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lent >= l.mostLent {
		return 0, nil // until some of it is released
	}
	for len(l.replaying) > 0 && waits == nil {
		id, l.replaying = l.replaying[0], l.replaying[1:]
		if l.inQueue(id) {
			waits = l.waits[id]
			waits.taken = true
		}
	}
	if len(l.replaying) > 0 {
		l.replaysWake.send() // for the next replayer
	}
	return id, waits
}

// requeueReplay puts a topic that was served behind the others if some of its waits are left.
// Once none are, others may have been added, and another replayer may be at them.
func (l *replays) requeueReplay(id uint32, waits *replayWaits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waits[id] == waits {
		waits.queued, waits.taken = false, false
		l.queueReplay(id)
	}
}

// giveUpWaits forgets the waits of a topic if all of them have gone, and reports whether there
// are none. The caller holds mu.
func (l *replays) giveUpWaits(id uint32) bool {
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

// windows remembers for a second where the newest entries of streams begin, which takes a read
// of all of them to find, while few have been added since: a replay from such a start has those
// as well.
type windows struct {
	// Guarded by the link's mu.

	byName map[string]starts
	ids    int // of all
}

const (
	windowAge = 1000 // milliseconds
	// windowIDs is the most ids, of 16 B, that a link remembers.
	windowIDs = 1 << 16
)

// get returns the starts that are remembered of a stream; seq is the number of its
// topic's last message.
func (s *windows) get(name string, seq, now uint32) (starts, bool) {
	w, ok := s.byName[name]
	if ok && (now-w.when >= windowAge || seq-w.seq > uint32(len(w.ids))/8) {
		s.forget(name)
		return starts{}, false
	}
	return w, ok
}

// put remembers w, unless more is known of the stream.
func (s *windows) put(name string, w starts, seq, now uint32) {
	if old, _ := s.get(name, seq, now); len(w.ids) <= len(old.ids) || len(w.ids) > windowIDs {
		return
	}
	s.forget(name)
	for other, o := range s.byName {
		if s.ids+len(w.ids) <= windowIDs && now-o.when < windowAge {
			break
		}
		s.forget(other)
	}
	if s.byName == nil {
		s.byName = make(map[string]starts)
	}
	w.seq, w.when = seq, now
	s.byName[name] = w
	s.ids += len(w.ids)
}

func (s *windows) forget(name string) {
	s.ids -= len(s.byName[name].ids)
	delete(s.byName, name)
}

// lentBytes is how much of streams may be read that all links together have handed over,
// and that is still needed: it waits between Redis and the clients' queues. Each replayer
// may add a page to it.
const lentBytes = 16 << 20

// loan is the result of one read of a stream, as long as a receiver of some of it needs it.
type loan struct {
	replays *replays
	bytes   int
	users   atomic.Int32
}

// lend returns a loan with one user. The caller holds mu.
func (l *replays) lend(bytes int) *loan {
	p := &loan{replays: l, bytes: bytes}
	p.users.Store(1)
	l.lent += bytes
	return p
}

// add returns p for one more user.
func (p *loan) add() *loan {
	p.users.Add(1)
	return p
}

// release ends the use by one of them.
func (p *loan) release() {
	if p.users.Add(-1) == 0 {
		p.replays.mu.Lock()
		p.free()
		p.replays.mu.Unlock()
	}
}

// releaseLocked is release for a caller that holds the link's mu.
func (p *loan) releaseLocked() {
	if p.users.Add(-1) == 0 {
		p.free()
	}
}

func (p *loan) free() {
	p.replays.lent -= p.bytes
	p.replays.replaysWake.send()
}
