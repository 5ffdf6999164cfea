package gateway

import "runtime/debug"

// garbage has Go's collector run more often while much waits for clients, or is kept
// of what they sent. It lets garbage become as much as what is in use, so that queues
// at their bound would take it twice. It is owned by the ticker.
type garbage struct {
	wanted  bool
	earlier bool
	before  int // percent that it ran with, where earlier
}

// earlyPercent is how much garbage there may be, of what is in use, while the queues
// hold a quarter of limits.total_queue_bytes or more, or the inputs one of
// limits.total_input_bytes: 400 clients that fill 64 MiB
// had the process grow by 2.1 times that with Go's 100, and do by 1.4 times with 25
// (TestAttackQueuesResident). It costs nothing while they hold less.
const earlyPercent = 25

// CollectEarlier allows the server to change how often the process collects garbage,
// between New and Run. It is for the program to decide, since it holds for all of it.
func (s *Server) CollectEarlier() { s.garbage.wanted = true }

// note takes what the queues and the inputs hold, in parts of what they may.
func (g *garbage) note(queues, inputs float64) {
	held := max(queues, inputs)
	switch {
	case !g.wanted:
	case !g.earlier && held > 1./4:
		g.earlier = true
		if g.before = debug.SetGCPercent(earlyPercent); g.before >= 0 && g.before < earlyPercent {
			debug.SetGCPercent(g.before)
		}
	case g.earlier && held < 1./8:
		g.earlier = false
		debug.SetGCPercent(g.before)
	}
}
