package gateway

import "sync"

// maxStrangers bounds how many names are remembered, and so how many lines made-up
// ones can write.
const maxStrangers = 100

// strangers are those whose fault only the operator can mend, by their names: the
// log tells it once for each.
type strangers struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// isNew reports whether a name is one more, and whether it's the last that is
// remembered.
func (s *strangers) isNew(name string) (isNew, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[name] || len(s.seen) >= maxStrangers {
		return false, false
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[name] = true
	return true, len(s.seen) == maxStrangers
}

// forget begins anew, for another configuration.
func (s *strangers) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}
