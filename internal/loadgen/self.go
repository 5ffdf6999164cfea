package loadgen

import (
	"runtime"
	"time"
)

// effort is what this process spent up to one moment.
type effort struct {
	at   time.Time
	cpu  time.Duration
	busy []time.Duration // per loop
	cpus int             // of the hosts that the clients are on
}

// clientBound is the share of its CPU from which on a run says more about the
// load generator than about the server.
const clientBound = 0.9

// Effort is what the load generator itself spent in a phase.
type Effort struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	// Share is CPU over what was within reach: a CPU for each loop and one for
	// publishing, no more than the host has.
	Share float64 `json:"cpu_share"`
	// Busy is the part of the time that the busiest loop was at work or kept
	// from it by others on the same CPUs.
	Busy float64 `json:"loop_busy"`
	// Bound says that one of the two was over 90 %.
	Bound bool `json:"client_bound"`
}

func (to effort) since(from effort) Effort {
	wall := to.at.Sub(from.at)
	if wall <= 0 {
		return Effort{}
	}
	e := Effort{Seconds: wall.Seconds(), CPU: (to.cpu - from.cpu).Seconds()}
	reach := min(len(to.busy)+1, max(to.cpus, runtime.GOMAXPROCS(0)))
	e.Share = e.CPU / e.Seconds / float64(reach)
	for i := range to.busy {
		before := time.Duration(0)
		if i < len(from.busy) {
			before = from.busy[i]
		}
		e.Busy = max(e.Busy, (to.busy[i]-before).Seconds()/e.Seconds)
	}
	e.Bound = e.Share > clientBound || e.Busy > clientBound
	return e
}

// add joins the effort of another phase of the same kind.
func (e *Effort) add(o Effort) {
	if all := e.Seconds + o.Seconds; all > 0 {
		e.Share = (e.Share*e.Seconds + o.Share*o.Seconds) / all
	}
	e.Seconds += o.Seconds
	e.CPU += o.CPU
	e.Busy = max(e.Busy, o.Busy)
	e.Bound = e.Bound || o.Bound
}
