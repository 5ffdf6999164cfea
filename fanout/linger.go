package fanout

// lingering is the topics without members, which stay subscribed for a time: a list
// through the topics themselves, by place, those that were left first in front.
// The linger is the same for all, so the list is in the order of its ends, and a
// topic that is joined again is taken out at once.
type lingering struct {
	// Immutable.
	most int // this link's part of Config.MaxLingering

	// Guarded by the link's mu.
	first, last uint32 // 0: the list is empty
	n           int
}

// linger starts the time that a topic without members stays subscribed. The caller
// holds mu, and calls trimLingering as soon as it is through with the topic.
func (l *link) linger(id uint32, t *topic) {
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
func (l *link) endLinger(t *topic) {
	if t.flags&topicLingers == 0 {
		return
	}
	l.neighbours(t.neighbours())
	t.flags &^= topicLingers
	t.waiting = 0
	l.lingering.n--
}

// neighbours makes two topics of the list neighbours, by place; 0 stands for the
// end of it.
func (l *link) neighbours(earlier, later uint32) {
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

// trimLingering forgets the topics that were left first where there are too many.
// Something may be under way for some of them, so it visits more than one; what is
// left is for the next call, by sweep if by nobody else. The caller holds mu.
func (l *link) trimLingering() {
	const visits = 4
	l.forgetLingering(visits, func(*topic) bool { return l.lingering.n > l.lingering.most })
}

// forgetLingering ends the linger of the topics in front, so many at most, for as
// long as due says so, and reports whether that is all. The caller holds mu.
func (l *link) forgetLingering(most int, due func(*topic) bool) (all bool) {
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
func (l *link) lingered(id uint32, t *topic) {
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
