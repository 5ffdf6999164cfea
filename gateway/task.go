package gateway

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/internal/reactor"
)

// task is one request for many channels, done in slices: 4,096 channels take the loop 4 to 14 ms. A
// connection has at most one. It ends with the connection's subscriptions.
type task struct {
	slot uint32

	// Exactly one is set
	opens   *params    // its channels are still to be subscribed to
	revokes []string   // channels to check against a new token
	gathers *gathering // a poll response

	took time.Duration // so far
	rest []byte        // a WebSocket's later input, handled after the task
	held int           // bytes counted for limits.total_input_bytes
}

// taskSlice is the number of channels handled at once: 0.2 to 0.6 ms.
const taskSlice = 128

// putOff defers t to the next turns of the loop. Reading from a WebSocket is paused until it's
// done, so that replies stay in order.
func (s *shard) putOff(i uint32, c *client, t *task) {
	t.slot = i
	s.taskOf[i] = t
	s.tasks = append(s.tasks, t)
	c.flags |= flagTask
	if t.opens != nil {
		s.holdTask(t, t.opens.bytes())
	}
	if c.kind == kindWebSocket {
		s.conns.Pause(i)
	}
}

// holdTask adds n bytes to a task's share of the kept input.
func (s *shard) holdTask(t *task, n int) {
	t.held += n
	s.holdInput(n)
}

// keepBehind keeps a WebSocket's input behind an unfinished request.
func (s *shard) keepBehind(i uint32, p []byte) {
	t := s.taskOf[i]
	before := cap(t.rest)
	t.rest = append(t.rest, p...)
	s.holdTask(t, cap(t.rest)-before)
}

// runTasks runs a slice of one task after the other, until a slice of the loop's time is over.
func (s *shard) runTasks() (more bool) {
	for start := time.Now(); len(s.tasks) > 0 && time.Since(start) < reactor.Slice; {
		t := s.tasks[0]
		s.tasks[0] = nil
		s.tasks = s.tasks[1:]
		if s.taskOf[t.slot] != t {
			continue // it was dropped
		}
		c, began := s.client(t.slot), time.Now()
		s.conns.CorkHistory(t.slot) // also for a new token: the client is being served, it isn't slow
		done := s.work(t.slot, c, t)
		s.conns.Uncork(t.slot)
		if s.taskOf[t.slot] != t {
			continue
		}
		if !done {
			t.took += time.Since(began)
			s.tasks = append(s.tasks, t)
			continue
		}
		s.endTask(t.slot, c, t)
		if t.took += time.Since(began); t.took > conn.Costly && c.phase != phaseClosed {
			s.conns.Demote(t.slot, t.took)
		}
	}
	return len(s.tasks) > 0
}

// work runs a slice of a task and reports whether that was the last.
func (s *shard) work(i uint32, c *client, t *task) (done bool) {
	switch {
	case t.opens != nil:
		n := min(len(t.opens.channels), taskSlice)
		s.subscribeSome(i, c, t.opens, t.opens.channels[:n])
		t.opens.channels = t.opens.channels[n:]
		return len(t.opens.channels) == 0
	case t.gathers != nil:
		return s.gatherSome(c, t.gathers)
	}
	n := min(len(t.revokes), taskSlice)
	s.revokeSome(i, c, t.revokes[:n])
	t.revokes = t.revokes[n:]
	return len(t.revokes) == 0
}

// endTask continues after a finished task.
func (s *shard) endTask(i uint32, c *client, t *task) {
	s.dropTask(i, c)
	switch {
	case c.phase != phaseOpen:
	case t.gathers != nil:
		s.gathered(i, c, t.gathers)
	case c.kind == kindPoll:
		s.pollConfirmed(i, c)
	case len(t.rest) > 0:
		s.conns.Cork(i)
		s.frames(i, c, t.rest)
		s.conns.Uncork(i)
	}
}

// dropTask drops a connection's task.
func (s *shard) dropTask(i uint32, c *client) {
	if c.flags&flagTask == 0 {
		return
	}
	c.flags &^= flagTask
	s.holdInput(-s.taskOf[i].held)
	delete(s.taskOf, i)
	if c.kind == kindWebSocket {
		s.conns.Resume(i)
	}
}
