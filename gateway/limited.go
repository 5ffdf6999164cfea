package gateway

import (
	"log/slog"
	"sync"
	"time"
)

// limited passes a kind of log line at most once in a while, for conditions
// that a thousand clients a second can bring about.
type limited struct {
	every time.Duration // immutable

	// Guarded by mu
	mu   sync.Mutex
	last map[string]time.Time // by message
	held map[string]int       // lines left out since
}

func newLimited(every time.Duration) *limited {
	return &limited{every: every, last: make(map[string]time.Time), held: make(map[string]int)}
}

// warn logs msg, with how many like it were left out since the last one.
func (l *limited) warn(log *slog.Logger, msg string, args ...any) {
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
