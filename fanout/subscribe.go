package fanout

const (
	// subscribeBatch is the most channels in one SUBSCRIBE or UNSUBSCRIBE.
	subscribeBatch = 512
	// subscribeWindow is the most channels on their way from SUBSCRIBE to live, and the
	// most on their way out. Each confirmation is a reply of its own, and Redis drops a
	// subscriber with more than 32 MB of replies waiting.
	subscribeWindow = 16 * subscribeBatch
)

// subscriptions is the layer of a link that has Redis send its channels, and forgets unwanted
// ones.
type subscriptions struct {
	replays

	// Signals: sent by any goroutine that fills the queue, received by the one that empties it,
	// never closed.

	wake    signal // for wanted and unwanted
	confirm signal // for confirmed

	// Guarded by mu.

	wanted    []uint32 // topics to subscribe to
	unwanted  []string // names to unsubscribe from
	confirmed []uint32 // topics to find in their streams
	lingering lingering
	pending   int    // topics subscribing or confirmed
	leaving   int    // names of which the end of the subscription isn't confirmed yet
	again     int    // topics with topicAgain
	floor     uint32 // above the seq of every topic that was forgotten
}

// join is Broker.Join.
func (l *subscriptions) join(channel string, bit uint64) (at Joined, live bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, t := l.open(channel)
	t.sinks |= bit
	l.endLinger(t)
	if t.state == topicLive {
		t.waiting &^= bit
		return l.joined(t), true
	}
	t.waiting |= bit
	return Joined{}, false
}

// leave is Broker.Leave.
func (l *subscriptions) leave(channel string, bit uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, t := l.topics.find(channel); t != nil && t.sinks&bit != 0 {
		l.removeSink(id, t, bit)
	}
}

// withdraw is Broker.Withdraw.
func (l *subscriptions) withdraw(channel string, bit uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, t := l.topics.find(channel)
	if t == nil || t.untold()&bit == 0 {
		return false
	}
	l.removeSink(id, t, bit)
	return true
}

// removeSink takes a sink out of a topic. The caller holds mu.
func (l *subscriptions) removeSink(id uint32, t *topic, bit uint64) {
	t.sinks &^= bit
	t.waiting &^= bit
	if t.sinks == 0 {
		l.linger(id, t)
		l.trimLingering()
	}
}

// open finds the topic of a channel or makes one that waits for the writer. The caller
// holds mu.
func (l *subscriptions) open(channel string) (uint32, *topic) {
	if id, t := l.topics.find(channel); t != nil {
		return id, t
	}
	id, t := l.topics.add(l.b.names.channel(channel))
	t.seq = l.floor
	l.want(id)
	l.wake.send()
	return id, t
}

// want has a topic subscribed to. While Redis is away topics are wanted and forgotten, so
// forgotten ones must not stay in the queue: it is at most twice as long as there are places
// for topics, and a bit. The caller holds mu.
func (l *subscriptions) want(id uint32) {
	if len(l.wanted) >= 2*int(l.topics.chunks.Last())+subscribeBatch {
		l.wanted = l.wanted[:0]
		l.topics.each(func(id uint32, t *topic) {
			if t.state == topicWanted {
				l.wanted = append(l.wanted, id)
			}
		})
		return
	}
	l.wanted = append(l.wanted, id)
}

// forget frees a topic. The caller holds mu.
func (l *subscriptions) forget(id uint32, t *topic) {
	l.rings.drop(t)
	l.endLinger(t)
	if t.flags&topicAgain != 0 {
		l.again-- // sweep finds out whether the link delivers all others
	}
	// The channel counts on from here when it is wanted again, so that no new message is taken
	// for an old one.
	if int32(t.seq+1-l.floor) > 0 {
		l.floor = t.seq + 1
	}
	l.topics.remove(id)
}

// nextBatch takes the next names from the queues. Everything unwanted goes first: a
// channel that was forgotten and wanted again is in both. There are none while a window
// is full.
func (l *subscriptions) nextBatch() (names []string, subscribe bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := min(len(l.unwanted), subscribeBatch); n > 0 {
		if l.leaving+n > subscribeWindow {
			return nil, false
		}
		l.leaving += n
		names = l.unwanted[:n:n]
		if l.unwanted = l.unwanted[n:]; len(l.unwanted) == 0 {
			l.unwanted = nil // or the names stay, which may be millions
		}
		return names, false
	}
	taken := 0
	for _, id := range l.wanted {
		if len(names) == subscribeBatch || l.pending == subscribeWindow {
			break
		}
		taken++
		// A topic that was forgotten may have left its place here.
		if t := l.topics.at(id); t.name != "" && t.state == topicWanted {
			t.state = topicSubscribing
			l.pending++
			names = append(names, t.name)
		}
	}
	if l.wanted = l.wanted[taken:]; len(l.wanted) == 0 {
		l.wanted = nil
	}
	return names, true
}

// subscribed is called by receive for each confirmation.
func (l *subscriptions) subscribed(full string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, t := l.topics.findFull(full)
	if t == nil || t.state != topicSubscribing {
		return
	}
	t.state = topicConfirmed
	l.confirmed = append(l.confirmed, id)
	l.confirm.send()
}

// unsubscribed is called by receive for each confirmation of UNSUBSCRIBE.
func (l *subscriptions) unsubscribed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving == 0 {
		return
	}
	if l.leaving--; l.leaving == subscribeWindow-subscribeBatch {
		l.wake.send() // there is room for a batch
	}
}

// follows reports whether a channel's messages are being received. One that was given up is
// not, also when it is wanted again: it awaits a new confirmation.
func (l *subscriptions) follows(full string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, t := l.topics.findFull(full)
	return t != nil && t.state >= topicConfirmed
}

// lingering is the topics without sinks, which stay subscribed for a time: a list through the
// topics themselves, by place, the ones left first in front. The linger is the same for all, so
// the list is in the order of its ends, and a topic that is joined again is taken out at once.
type lingering struct {
	// Immutable.
	most int // this link's part of Config.MaxLingering

	// Guarded by the link's mu.
	first, last uint32 // 0: the list is empty
	n           int
}

// linger starts the time that a topic without sinks stays subscribed. The caller holds
// mu, and calls trimLingering as soon as it is through with the topic.
func (l *subscriptions) linger(id uint32, t *topic) {
	l.endLinger(t)
	s := &l.lingering
	t.flags |= topicLingers
	t.due = l.now() + uint32(l.b.config.Linger.Milliseconds())
	t.setNeighbours(0, 0)
	l.neighbours(s.last, id)
	l.neighbours(id, 0)
	s.n++
}

// endLinger takes a topic out of the list if it's there. The caller holds mu.
func (l *subscriptions) endLinger(t *topic) {
	if t.flags&topicLingers == 0 {
		return
	}
	l.neighbours(t.neighbours())
	t.flags &^= topicLingers
	t.waiting = 0
	l.lingering.n--
}

// neighbours makes two topics of the list neighbours, by place; 0 stands for the end of
// it.
func (l *subscriptions) neighbours(earlier, later uint32) {
	s := &l.lingering
	if earlier == 0 {
		s.first = later
	} else {
		t := l.topics.at(earlier)
		before, _ := t.neighbours()
		t.setNeighbours(before, later)
	}
	if later == 0 {
		s.last = earlier
	} else {
		t := l.topics.at(later)
		_, behind := t.neighbours()
		t.setNeighbours(earlier, behind)
	}
}

// trimLingering forgets the topics that were left first where there are too many. Something may
// be under way for some of them, so it visits more than one; the rest is for the next call, at
// the latest by sweep. The caller holds mu.
func (l *subscriptions) trimLingering() {
	const visits = 4
	l.forgetLingering(visits, func(*topic) bool { return l.lingering.n > l.lingering.most })
}

// forgetLingering ends the linger of the topics in front, so many at most, for as long as
// due says so, and reports whether that is all. The caller holds mu.
func (l *subscriptions) forgetLingering(most int, due func(*topic) bool) (all bool) {
	for n := 0; ; n++ {
		if l.lingering.first == 0 {
			return true
		}
		id := l.lingering.first
		t := l.topics.at(id)
		if !due(t) {
			return true
		}
		if n == most {
			return false
		}
		l.lingered(id, t)
	}
}

// lingered ends a topic's linger, or begins it anew. The caller holds mu.
func (l *subscriptions) lingered(id uint32, t *topic) {
	switch {
	case !l.giveUpWaits(id), t.state == topicSubscribing, t.state == topicConfirmed:
		l.linger(id, t) // something is under way that needs the topic
	case t.state == topicLive:
		l.unwanted = append(l.unwanted, t.name)
		l.forget(id, t)
		l.wake.send()
	default:
		l.forget(id, t)
	}
}
