package conn

import (
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// newcomers are the latest accepted connections that haven't sent anything yet, the newest last. A
// request follows its connection by a few microseconds. A busy loop accepts in each of its rounds
// but would read the request only after the events of all earlier senders: with a thousand such
// clients on a machine short of CPU, a load balancer's probe took two seconds. So a late loop polls
// these sockets itself, newest first: most are then served at once, whereas in arrival order each
// would wait as long as all the others.
type newcomers []reactor.Key

// maxNewcomers is the number checked in a round, which takes 150 us if none has sent anything. With
// 64 of them some probes still took two seconds, in a rush.
const maxNewcomers = 512

// newcomerTicks is how long a silent connection stays on the list. A later request waits for its
// event.
const newcomerTicks = 2

func (n *newcomers) add(k reactor.Key) {
	if len(*n) == maxNewcomers {
		*n = slices.Delete(*n, 0, 1)
	}
	*n = append(*n, k)
}

// readNewcomers reads from new connections when the loop is late.
func (r *Reading) readNewcomers() {
	if len(r.newcomers) == 0 || !r.set.loop.Late() {
		return
	}
	start := time.Now()
	for n := len(r.newcomers) - 1; n >= 0 && time.Since(start) < reactor.Slice; n-- {
		k := r.newcomers[n]
		c := r.set.Slots.find(k.Slot, k.Gen)
		if c != nil && c.flags&flagSilent != 0 && !r.read(k.Slot, c) && r.set.Clock.now-c.born < newcomerTicks {
			continue
		}
		r.newcomers = slices.Delete(r.newcomers, n, n+1)
	}
}
