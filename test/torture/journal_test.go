package torture

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// kept is how many steps a journal keeps.
const kept = 400

// journal holds a client's last actions.
type journal struct {
	// Immutable
	name  string
	begun time.Time

	// Guarded by mu
	mu    sync.Mutex
	steps []string // a ring, of which next is the oldest
	next  int
}

// newJournal returns one that is written down where the round fails.
func (r *round) newJournal(name string) *journal {
	j := &journal{name: name, begun: r.begun}
	r.mu.Lock()
	r.journals = append(r.journals, j)
	r.mu.Unlock()
	return j
}

// note keeps a step.
func (j *journal) note(format string, args ...any) {
	step := fmt.Sprintf("%8d ms  ", time.Since(j.begun).Milliseconds()) + fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.steps) < kept {
		j.steps = append(j.steps, step)
		return
	}
	j.steps[j.next] = step
	j.next = (j.next + 1) % kept
}

// text returns the steps, the oldest first.
func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(append(append([]string(nil), j.steps[j.next:]...), j.steps[:j.next]...), "\n") + "\n"
}

// tail returns the last n steps.
func (j *journal) tail(n int) string {
	steps := strings.Split(strings.TrimSpace(j.text()), "\n")
	return strings.Join(steps[max(0, len(steps)-n):], "\n")
}
