package limit

import (
	"log/slog"
	"sync"
	"time"
)

// LogLimiter passes log lines with the same message at most once per interval, for conditions that
// a thousand clients a second can cause.
type LogLimiter struct {
	every time.Duration // immutable

	// Guarded by mu
	mu   sync.Mutex
	last map[string]time.Time // by message
	held map[string]int       // lines left out since
}

// NewLogLimiter returns a limiter that passes one line per message and interval.
func NewLogLimiter(every time.Duration) *LogLimiter {
	return &LogLimiter{every: every, last: make(map[string]time.Time), held: make(map[string]int)}
}

// Warn logs msg, with the number of lines suppressed since the last one.
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

// MaxNames bounds the names remembered, and so the lines that invented names can cause.
const MaxNames = 100

// LogOnce remembers the names already logged, for faults that only the operator can fix: each is
// logged once.
type LogOnce struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// IsNew reports whether a name is new, and whether it's the last that is remembered.
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

// Forget clears the names, for a new configuration.
func (s *LogOnce) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}
