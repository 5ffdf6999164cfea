package fanout

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// FailureKind says why Redis did not take a message that was published here.
type FailureKind string

const (
	FailureMemory   FailureKind = "memory"    // OOM: maxmemory is reached
	FailureReadOnly FailureKind = "read_only" // READONLY: a replica
	FailureDisk     FailureKind = "disk"      // MISCONF: it can't save its data
	FailureRights   FailureKind = "rights"    // NOPERM, NOAUTH, WRONGPASS
	FailureRefused  FailureKind = "refused"   // any other error that it answered
	FailureNoAnswer FailureKind = "no_answer" // away, or too slow
)

// failureKinds is all of them, and failureCodes the words in Redis' answers. Those of a
// script stand within the text up to Redis 6, behind a minus.
var (
	failureKinds = []FailureKind{FailureMemory, FailureReadOnly, FailureDisk, FailureRights, FailureRefused, FailureNoAnswer}
	failureCodes = map[FailureKind][]string{
		FailureMemory:   {"OOM"},
		FailureReadOnly: {"READONLY"},
		FailureDisk:     {"MISCONF"},
		FailureRights:   {"NOPERM", "NOAUTH", "WRONGPASS"},
	}
)

// failureKindOf returns the kind of an error of a command that publishes.
func failureKindOf(err error) FailureKind {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return FailureNoAnswer
	}
	for kind, codes := range failureCodes {
		for _, code := range codes {
			if strings.HasPrefix(answer.Error(), code+" ") || strings.Contains(answer.Error(), ": -"+code+" ") {
				return kind
			}
		}
	}
	return FailureRefused
}

const (
	// refusalsInTurn is how many durable messages a server refuses, one after the
	// other, before the broker isn't ready.
	refusalsInTurn = 3
	// refusalsLast is how long that stays so when no more is published.
	refusalsLast = 10 * time.Second
)

// publishFailures takes note of messages that Redis didn't take. A server that is full or
// can't write refuses all durable ones while what it has taken is delivered, so the
// links notice nothing.
type publishFailures struct {
	// Atomic: by the place in failureKinds.

	count [6]atomic.Uint64
	some  atomic.Bool // inTurn is above 0

	// Guarded by mu.

	mu     sync.Mutex
	inTurn int // durable messages that were refused since one was taken
	last   time.Time
	err    error
	logged time.Time
	held   int // lines left out since
}

// failed counts and logs a message that Redis didn't take, one line a second at most.
func (r *publishFailures) failed(log *slog.Logger, channel string, durable bool, err error) {
	kind := failureKindOf(err)
	for i, k := range failureKinds {
		if k == kind {
			r.count[i].Add(1)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	// What concerns one channel or its publisher is not among these, or a client could
	// have the node taken for unfit.
	if durable && (kind == FailureMemory || kind == FailureReadOnly || kind == FailureDisk) {
		r.inTurn++
		r.some.Store(true)
		r.last, r.err = now, err
	}
	if now.Sub(r.logged) < time.Second {
		r.held++
		return
	}
	args := []any{"reason", string(kind), "channel", channel, "durable", durable, "err", err}
	if r.held > 0 {
		args = append(args, "repeated", r.held)
	}
	r.logged, r.held = now, 0
	log.Error("redis did not take a message", args...)
}

// taken takes note that a durable message was taken.
func (r *publishFailures) taken() {
	if !r.some.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inTurn, r.err = 0, nil
	r.some.Store(false)
}

// ready returns why durable messages can't be published, or nil.
func (r *publishFailures) ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inTurn < refusalsInTurn || time.Since(r.last) > refusalsLast {
		return nil
	}
	return fmt.Errorf("redis takes no durable messages: %w", r.err)
}

// counts returns how often each kind occurred.
func (r *publishFailures) counts() map[FailureKind]uint64 {
	counts := make(map[FailureKind]uint64, len(failureKinds))
	for i, kind := range failureKinds {
		counts[kind] = r.count[i].Load()
	}
	return counts
}

// countPublish counts what became of a message and returns its error for the
// publisher. One that was never sent is the publisher's mistake, and none of Redis'.
func (b *publisher) countPublish(channel string, o PublishOptions, sent bool, err error) error {
	if err != nil {
		b.counters.publishErrors.Add(1)
		if sent {
			b.failures.failed(b.log, channel, o.Durable, err)
		}
		return fmt.Errorf("publish to %q: %w", channel, err)
	}
	b.counters.published.Add(1)
	if o.Durable {
		b.failures.taken()
	}
	return nil
}

// oversize passes over messages that are larger than a client may be handed: one of
// them would fill the queues of all who get it, and have them closed.
type oversize struct {
	// Atomic.

	most   atomic.Int64 // bytes of the largest payload; 0: any
	passed atomic.Uint64

	// Guarded by mu.

	mu     sync.Mutex
	logged time.Time
	held   int // lines left out since
}

// LimitPayload has the broker hand no message to its sinks whose payload has
// more bytes. They get a gap of reason GapTooLarge in its place, as do those who
// come back for it, and the log a line, one a second at most.
func (b *Broker) LimitPayload(bytes int) { b.oversize.most.Store(int64(bytes)) }

// is reports whether a payload is too large.
func (o *oversize) is(payload string) bool {
	most := o.most.Load()
	return most > 0 && int64(len(payload)) > most
}

// note counts and logs a message that is passed over.
func (o *oversize) note(log *slog.Logger, channel string, bytes int) {
	o.passed.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if now.Sub(o.logged) < time.Second {
		o.held++
		return
	}
	args := []any{"channel", channel, "bytes", bytes, "most", o.most.Load()}
	if o.held > 0 {
		args = append(args, "repeated", o.held)
	}
	o.logged, o.held = now, 0
	log.Warn("a message is larger than limits.payload_bytes: no client gets it", args...)
}
