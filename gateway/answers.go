package gateway

import (
	"time"

	"pushgate/fanout"
	"pushgate/gateway/http1"
)

// coalesce is how long a poll is left open after its first message: what else
// comes at that moment goes with it instead of costing a round trip.
const coalesce = 5 * time.Millisecond

// answersPerSlice is how many polls are answered before events are asked for
// again.
const answersPerSlice = 256

// answers are the polls that have messages. One timer serves all of a shard's.
type answers struct {
	woken []uint64    // slot and generation, the next one last
	ready []uint64    // those whose delay is over
	timer *time.Timer // posts; running while woken isn't empty
	last  answer
}

// answer is the last answer that was made: polls that wait for the same
// channel from the same place get the same bytes.
type answer struct {
	key  answerKey
	text []byte
	n    int // messages in it
}

// answerKey says when two answers are alike. The zero key is no answer.
type answerKey struct {
	channel fanout.Channel
	from    uint32
	max     uint16
	flags   flags
}

// wake notes that a poll has messages.
func (s *shard) wake(i uint32, c *conn) {
	if c.poll != 0 || c.flags&flagWoken != 0 {
		return
	}
	c.flags |= flagWoken
	a := &s.answers
	a.woken = append(a.woken, uint64(i)<<32|uint64(c.gen))
	if len(a.woken) > 1 {
		return
	}
	if a.timer == nil {
		a.timer = time.AfterFunc(coalesce, func() { s.post(s.coalesced) })
	} else {
		a.timer.Reset(coalesce)
	}
}

// coalesced ends the delay of the polls that were woken.
func (s *shard) coalesced() {
	a := &s.answers
	a.ready = append(a.ready, a.woken...)
	a.woken = a.woken[:0]
}

// answerWoken answers some of the polls that have messages.
func (s *shard) answerWoken() (more bool) {
	a := &s.answers
	if len(a.ready) == 0 {
		return false
	}
	a.last = answer{} // more may have come since the last slice
	n := min(len(a.ready), answersPerSlice)
	for _, k := range a.ready[:n] {
		if c := s.conns.find(uint32(k>>32), uint32(k)); c != nil && c.flags&flagWoken != 0 {
			s.answerPoll(uint32(k>>32), c)
		}
	}
	a.ready = a.ready[:copy(a.ready, a.ready[n:])]
	return len(a.ready) > 0
}

// answerPoll sends a poll what there is for it, and makes its connection ready
// for the next request.
func (s *shard) answerPoll(i uint32, c *conn) {
	text, n := s.pollAnswer(c)
	s.stats.deliveries += uint64(n)
	s.endPoll(i, c)
	s.respondWith(i, c, text)
}

// endPoll takes a poll out of its channels, which the broker keeps for a while
// with what they get: the client is about to come back.
func (s *shard) endPoll(i uint32, c *conn) {
	s.stats.clients[kindPoll]--
	s.unsubscribeAll(i, c)
	c.phase, c.kind = phaseBody, kindNone
}

// pollAnswer returns the answer to a poll and how many messages are in it. The
// bytes may be shared with other polls.
func (s *shard) pollAnswer(c *conn) (text []byte, n int) {
	key := s.answerKey(c)
	if last := &s.answers.last; key != (answerKey{}) && key == last.key {
		return last.text, last.n
	}
	b := s.gather(c)
	o := s.connOptions(c)
	cursor := b.cursor.AppendTo(nil)
	if b.count == 0 && len(b.gaps) == 0 {
		o.Lines = append(append(append(o.Lines, "Poll-Cursor: "...), cursor...), "\r\n"...)
		text = http1.AppendResponse(nil, 204, nil, o)
	} else {
		text = http1.AppendResponse(nil, 200, b.json(cursor), o)
	}
	s.answers.last = answer{key, text, b.count}
	return text, b.count
}

// answerKey returns the key of a poll's answer, zero when it can't be shared.
func (s *shard) answerKey(c *conn) (k answerKey) {
	if c.count != 1 || c.poll != 0 {
		return answerKey{}
	}
	s.index.Each(c.subs, func(sub fanout.Sub, ch fanout.Channel) {
		if !s.index.Held(sub) {
			k = answerKey{ch, s.index.From(sub), c.max, c.flags}
		}
	})
	return k
}
