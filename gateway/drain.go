package gateway

import (
	"math/rand/v2"
	"time"

	"pushgate/internal/wsframe"
)

// drain is a shard's part of a shutdown: its connections in slot order, closed
// evenly from start to end.
type drain struct {
	on         bool
	start, end uint32 // ticks
	total      int    // connections at the start
	done       int    // of these, closed or gone
	cursor     uint32 // slots below it are done
}

// beginDrain starts to close the connections evenly over d.
func (s *shard) beginDrain(d time.Duration) {
	s.drain = drain{on: true, start: s.now, end: s.now + ticks(d), total: s.conns.used, cursor: 1}
}

// drainStep closes as many connections as are due at this tick.
func (s *shard) drainStep() {
	d := &s.drain
	if !d.on {
		return
	}
	target := d.total
	if s.now < d.end {
		target = int(uint64(d.total) * uint64(s.now-d.start+1) / uint64(d.end-d.start+1))
	}
	for d.done < target && d.cursor < s.conns.next {
		i := d.cursor
		d.cursor++
		c := s.conns.at(i)
		if c.phase == phaseFree {
			continue
		}
		d.done++
		s.drainOne(i, c)
	}
}

// drainOne tells one connection to go. The client is given a time of its own
// to come back at, so that those closed together don't return together.
func (s *shard) drainOne(i uint32, c *conn) {
	switch c.phase {
	case phaseHead, phaseBody:
		// A request that is here already gets its answer, and no client a
		// reset for what it has on its way.
		gen := c.gen
		s.read(i, c)
		if c.gen == gen && (c.phase == phaseHead || c.phase == phaseBody) {
			s.endWith(i, c, CloseDrain, nil)
		}
		return
	case phaseClosing:
		return
	}
	bye := reply{Type: "bye", Reason: string(CloseDrain), ReconnectAfterMS: 1 + rand.Int64N(max(1, s.srv.cfg.Drain.Timeout.Milliseconds()))}
	raw := c.flags&flagRaw != 0
	var last []byte
	switch c.kind {
	case kindPoll:
		c.flags |= flagClose
		s.answerPoll(i, c)
		return
	case kindEvents:
		if !raw {
			last = appendEvent(nil, bye)
		}
	case kindWebSocket, kindEcho:
		if !raw {
			last = append(last, s.replyFrame(bye)...)
		}
		last = wsframe.AppendClose(last, closeCode[CloseDrain], string(CloseDrain))
	}
	s.endWith(i, c, CloseDrain, last)
}
