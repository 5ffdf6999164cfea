package gateway

import (
	"slices"
	"time"

	"pushgate/internal/reactor"
)

// newcomers are the last connections that were accepted and haven't sent anything yet,
// the newest last. A request comes a few microseconds behind its connection. A busy loop
// accepts in each of its rounds but would read the request only after the events of all
// who had sent something before: with a thousand such clients on a machine that is short
// of CPU, a load balancer's probe took two seconds. So it looks for the request in the
// next rounds, the newest connection's first: in a rush most are then served at once,
// where in the order in which they came each would wait as long as all the others.
type newcomers []reactor.Key

// maxNewcomers is how many are looked at in a round, which takes 150 us if nothing has
// come from any. With 64 of them some probes still took two seconds, in a rush.
const maxNewcomers = 512

// newcomerTicks is for how long they are looked at. What comes later is told by an event.
const newcomerTicks = 2

func (n *newcomers) add(k reactor.Key) {
	if len(*n) == maxNewcomers {
		*n = slices.Delete(*n, 0, 1)
	}
	*n = append(*n, k)
}

// readNewcomers reads from connections that are new while others wait for their events
// to be handled.
func (s *shard) readNewcomers() {
	if len(s.newcomers) == 0 || s.loop.AllTold() {
		return // the events are next
	}
	start := time.Now()
	for n := len(s.newcomers) - 1; n >= 0 && time.Since(start) < reactor.Slice; n-- {
		k := s.newcomers[n]
		c := s.conns.find(k.Slot, k.Gen)
		silent := c != nil && c.phase <= phaseHead && c.in == 0 && s.now-c.born < newcomerTicks
		if silent {
			silent = !s.read(k.Slot, c)
		}
		if !silent {
			s.newcomers = slices.Delete(s.newcomers, n, n+1)
		}
	}
}
