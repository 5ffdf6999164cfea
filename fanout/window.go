package fanout

// windows remembers for a second where the newest entries of streams begin, which
// takes a read of all of them to find, while few have come since: who gets what follows
// such a start gets those as well.
type windows struct {
	// Guarded by the link's mu.

	byName map[string]starts
	ids    int // of all
}

const (
	windowAge = 1000 // milliseconds
	// windowIDs is the most ids, of 16 B, that a link remembers.
	windowIDs = 1 << 16
)

// get returns the starts that are remembered of a stream; seq is the number of its
// topic's last message.
func (s *windows) get(name string, seq, now uint32) (starts, bool) {
	w, ok := s.byName[name]
	if ok && (now-w.when >= windowAge || seq-w.seq > uint32(len(w.ids))/8) {
		s.forget(name)
		return starts{}, false
	}
	return w, ok
}

// put remembers w, unless more is known of the stream.
func (s *windows) put(name string, w starts, seq, now uint32) {
	if old, _ := s.get(name, seq, now); len(w.ids) <= len(old.ids) || len(w.ids) > windowIDs {
		return
	}
	s.forget(name)
	for other, o := range s.byName {
		if s.ids+len(w.ids) <= windowIDs && now-o.when < windowAge {
			break
		}
		s.forget(other)
	}
	if s.byName == nil {
		s.byName = make(map[string]starts)
	}
	w.seq, w.when = seq, now
	s.byName[name] = w
	s.ids += len(w.ids)
}

func (s *windows) forget(name string) {
	s.ids -= len(s.byName[name].ids)
	delete(s.byName, name)
}
