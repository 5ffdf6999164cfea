package client

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/conn"
)

// Task is the work for one request for many channels, done in slices: 4,096 channels take the loop 4
// to 14 ms.
type Task interface {
	// Work does a slice and reports whether that was the last.
	Work(i uint32) (done bool)
	// Done continues after the last slice.
	Done(i uint32)
}

// SliceChannels is the number of channels handled in a slice: 0.2 to 0.6 ms.
const SliceChannels = 128

// Tasks are the tasks of a loop's clients, each of which has at most one. A task ends with its
// client's subscriptions.
type Tasks struct {
	hub  *Hub
	list []*running          // dropped ones included
	of   map[uint32]*running // by slot
}

// running is a task that is under way.
type running struct {
	slot uint32
	task Task
	took time.Duration // so far
	held int           // bytes counted as input
}

// Start does a task in the next turns of the loop; bytes is the memory of its request.
func (s *Tasks) Start(i uint32, task Task, bytes int) {
	t := &running{slot: i, task: task, held: bytes}
	s.of[i] = t
	s.list = append(s.list, t)
	c := s.hub.at(i)
	c.flags |= flagBusy
	s.hub.Conns.Input.Hold(i, bytes)
	s.hub.protocols[c.kind].Busy(i, true)
}

// Of returns a client's task, nil if it has none.
func (s *Tasks) Of(i uint32) Task {
	if s.hub.at(i).flags&flagBusy == 0 {
		return nil
	}
	return s.of[i].task
}

// Drop ends a client's task, if it has one.
func (s *Tasks) Drop(i uint32) {
	c := s.hub.at(i)
	if c.flags&flagBusy == 0 {
		return
	}
	c.flags &^= flagBusy
	s.hub.Conns.Input.Hold(i, -s.of[i].held)
	delete(s.of, i)
	s.hub.protocols[c.kind].Busy(i, false)
}

// run does a slice of one task after the other, until a slice of the loop's time is over.
func (s *Tasks) run() (more bool) {
	for start := time.Now(); len(s.list) > 0 && time.Since(start) < conn.Slice; {
		t := s.list[0]
		s.list[0] = nil
		s.list = s.list[1:]
		if s.of[t.slot] != t {
			continue // it was dropped
		}
		began := time.Now()
		s.hub.Conns.Out.CorkHistory(t.slot) // also for a new token: the client is being served, it isn't slow
		done := t.task.Work(t.slot)
		s.hub.Conns.Out.Uncork(t.slot)
		if s.of[t.slot] != t {
			continue
		}
		if !done {
			t.took += time.Since(began)
			s.list = append(s.list, t)
			continue
		}
		s.end(t)
		if t.took += time.Since(began); t.took > conn.Costly {
			s.hub.Conns.Reading.Demote(t.slot, t.took)
		}
	}
	return len(s.list) > 0
}

// end continues after a task's last slice.
func (s *Tasks) end(t *running) {
	s.Drop(t.slot)
	if s.hub.IsOpen(t.slot) {
		t.task.Done(t.slot)
	}
}
