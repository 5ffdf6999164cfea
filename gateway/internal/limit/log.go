package limit

import (
	"log/slog"
	"sync"
	"time"
)

// LogLimiter passes a kind of log line at most once in a while, for conditions
// that a thousand clients a second can bring about.
type LogLimiter struct {
	every time.Duration // immutable

	// Guarded by mu
	mu   sync.Mutex
	last map[string]time.Time // by message
	held map[string]int       // lines left out since
}

// NewLogLimiter returns one that passes a line each time.
func NewLogLimiter(every time.Duration) *LogLimiter {
	return &LogLimiter{every: every, last: make(map[string]time.Time), held: make(map[string]int)}
}

// Warn logs msg, with how many like it were left out since the last one.
func (l *LogLimiter) Warn(log *slog.Logger, msg string, args ...any) {
	now := time.Now()
	l.mu.Lock()
	if now.Sub(l.last[msg]) < l.every {
		l.held[msg]++
		l.mu.Unlock()
		return
	}
	held := l.held[msg]
	l.last[msg], l.held[msg] = now, 0
	l.mu.Unlock()
	if held > 0 {
		args = append(args, "repeated", held)
	}
	log.Warn(msg, args...)
}

// MaxNames bounds how many names are remembered, and so how many lines made-up
// ones can write.
const MaxNames = 100

// LogOnce are the names of those whose fault only the operator can mend: the log tells
// of each once.
type LogOnce struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// IsNew reports whether a name is one more, and whether it's the last that is
// remembered.
func (s *LogOnce) IsNew(name string) (isNew, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[name] || len(s.seen) >= MaxNames {
		return false, false
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[name] = true
	return true, len(s.seen) == MaxNames
}

// Forget begins anew, for another configuration.
func (s *LogOnce) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}
