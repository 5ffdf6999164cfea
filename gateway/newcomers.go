package gateway

import (
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// newcomers are the last connections that were accepted and haven't sent anything yet,
// the newest last. A request comes a few microseconds behind its connection. A busy loop
// accepts in each of its rounds but would read the request only after the events of all
// who had sent something before: with a thousand such clients on a machine that is short
// of CPU, a load balancer's probe took two seconds. So a loop that is late looks for the
// requests itself, the newest connection's first: most are then served at once, where in
// the order in which they came each would wait as long as all the others.
type newcomers []reactor.Key

// maxNewcomers is how many are looked at in a round, which takes 150 us if nothing has
// come from any. With 64 of them some probes still took two seconds, in a rush.
const maxNewcomers = 512

// newcomerTicks is how long a silent connection stays on the list. A request that comes
// later waits for its event.
const newcomerTicks = 2

func (n *newcomers) add(k reactor.Key) {
	if len(*n) == maxNewcomers {
		*n = slices.Delete(*n, 0, 1)
	}
	*n = append(*n, k)
}

// readNewcomers reads from connections that are new, where the loop is late.
func (s *shard) readNewcomers() {
	if len(s.newcomers) == 0 || !s.loop.Late() {
		return
	}
	start := time.Now()
	for n := len(s.newcomers) - 1; n >= 0 && time.Since(start) < reactor.Slice; n-- {
		k := s.newcomers[n]
		c := s.conns.find(k.Slot, k.Gen)
		if c != nil && c.phase <= phaseHead && c.in == 0 && !s.read(k.Slot, c) && s.now-c.born < newcomerTicks {
			continue
		}
		s.newcomers = slices.Delete(s.newcomers, n, n+1)
	}
}
