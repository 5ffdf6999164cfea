package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// FailureKind is the reason why Redis did not take a message that was published here.
type FailureKind string

const (
	FailureMemory   FailureKind = "memory"    // OOM: maxmemory is reached
	FailureReadOnly FailureKind = "read_only" // READONLY: a replica
	FailureDisk     FailureKind = "disk"      // MISCONF: it can't save its data
	FailureRights   FailureKind = "rights"    // NOPERM, NOAUTH, WRONGPASS
	FailureRefused  FailureKind = "refused"   // any other error that it answered
	FailureNoAnswer FailureKind = "no_answer" // away, or too slow
)

// failureCodes are the words in Redis' answers.
var failureCodes = map[FailureKind][]string{
	FailureMemory:   {"OOM"},
	FailureReadOnly: {"READONLY"},
	FailureDisk:     {"MISCONF"},
	FailureRights:   {"NOPERM", "NOAUTH", "WRONGPASS"},
	FailureRefused:  {},
	FailureNoAnswer: {},
}

// failureKindOf returns the kind of an error of a command that publishes. The codes of a
// script's commands stand within the text up to Redis 6, behind a minus.
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
	// refusalsInTurn is the number of durable messages that a server refuses, one after
	// the other, before the broker isn't ready.
	refusalsInTurn = 3
	// refusalsLast is the time for which that stays so when no more is published.
	refusalsLast = 10 * time.Second
)

// publishFailures counts messages that Redis didn't take. A server that is full or can't write
// refuses all durable ones and still delivers the accepted ones, so the links notice nothing.
type publishFailures struct {
	// Atomic.

	some atomic.Bool // inTurn is above 0

	// Guarded by mu.

	mu     sync.Mutex
	counts map[FailureKind]uint64
	inTurn int // durable messages that were refused since one was taken
	last   time.Time
	err    error
	lines  lineLimit
}

// failed counts and logs a message that Redis didn't take, one line a second at most.
func (f *publishFailures) failed(log *slog.Logger, channel string, durable bool, err error) {
	kind := failureKindOf(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[FailureKind]uint64)
	}
	f.counts[kind]++
	// Errors that concern one channel or its publisher are not among these, or a client
	// could have the node taken for unfit.
	if durable && (kind == FailureMemory || kind == FailureReadOnly || kind == FailureDisk) {
		f.inTurn++
		f.some.Store(true)
		f.last, f.err = time.Now(), err
	}
	f.lines.log(log, slog.LevelError, "redis did not take a message", "reason", string(kind), "channel", channel, "durable", durable, "err", err)
}

// taken notes that a durable message was taken.
func (f *publishFailures) taken() {
	if !f.some.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inTurn, f.err = 0, nil
	f.some.Store(false)
}

// ready returns the reason why durable messages can't be published, or nil.
func (f *publishFailures) ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inTurn < refusalsInTurn || time.Since(f.last) > refusalsLast {
		return nil
	}
	return fmt.Errorf("redis takes no durable messages: %w", f.err)
}

// stats returns the number of failures of each kind.
func (f *publishFailures) stats() map[FailureKind]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make(map[FailureKind]uint64, len(failureCodes))
	for kind := range failureCodes {
		counts[kind] = f.counts[kind]
	}
	return counts
}

// countPublish counts the result of a publish and returns its error for the publisher. A
// message that was never sent is the publisher's mistake, not Redis'.
func (p *publisher) countPublish(channel string, o PublishOptions, sent bool, err error) error {
	if err != nil {
		p.counters.publishErrors.Add(1)
		if sent {
			p.failures.failed(p.log, channel, o.Durable, err)
		}
		return fmt.Errorf("publish to %q: %w", channel, err)
	}
	p.counters.published.Add(1)
	if o.Durable {
		p.failures.taken()
	}
	return nil
}

// oversize passes over messages that are larger than a client may be handed: one of them would
// fill the queues of all its receivers, and have them closed.
type oversize struct {
	// Atomic.

	most   atomic.Int64 // bytes of the largest payload; 0: any
	passed atomic.Uint64

	// Guarded by mu.

	mu    sync.Mutex
	lines lineLimit
}

// LimitPayload has the broker hand no message to its sinks whose payload has more bytes. They
// get a gap of reason GapTooLarge in its place, as do later replays, and the log a line, one a
// second at most.
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
	o.lines.log(log, slog.LevelWarn, "a message is larger than limits.payload_bytes: no client gets it",
		"channel", channel, "bytes", bytes, "most", o.most.Load())
}

// lineLimit lets one line a second through to a log, with the number of lines left out since
// the last one.
type lineLimit struct {
	logged   time.Time
	repeated int
}

func (l *lineLimit) log(log *slog.Logger, level slog.Level, text string, args ...any) {
	now := time.Now()
	if now.Sub(l.logged) < time.Second {
		l.repeated++
		return
	}
	if l.repeated > 0 {
		args = append(args, "repeated", l.repeated)
	}
	l.logged, l.repeated = now, 0
	log.Log(context.Background(), level, text, args...)
}
