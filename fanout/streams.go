package fanout

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/fanout/message"
)

// Fields of an entry of a channel's stream: the payload, and who published it
// where that is known.
const (
	streamField     = "data"
	streamUserField = "user"
)

const (
	// pageEntries is the most entries of one stream in one reply.
	pageEntries = 500
	// firstPageEntries is the same where many streams are looked at at once:
	// after a short outage most have a few new entries or none.
	firstPageEntries = 16
)

// entry is one durable message as the stream holds it.
type entry struct {
	id      message.StreamID
	payload string
	user    string
	foreign bool // not written by the publish script
}

// page is one look at a stream.
type page struct {
	entries  []entry          // after the asked position, oldest first
	more     bool             // there are more after these
	complete bool             // nothing after the asked position has been trimmed
	tail     message.StreamID // of the last entry; zero: there is no stream
}

// look is the commands of one page in a pipeline.
type look struct {
	after       message.StreamID
	limit       int64
	tail, first *redis.XMessageSliceCmd
	page        *redis.XMessageSliceCmd
	info        *redis.XInfoStreamCmd
}

// streamReader reads the streams of a link's channels.
type streamReader struct {
	// Immutable.

	servers *upstream.Servers
	names   names
	page    int // bytes of a page of history, less in tests

	// Atomic.

	reads *atomic.Uint64 // counts them
}

// firstPages looks at many streams in one round trip, for so many entries of
// each. Of a topic that is new only the end of its stream matters.
func (r *streamReader) firstPages(ctx context.Context, batch []unsynced, entries int) ([]page, error) {
	pipe := r.servers.Client.Pipeline()
	looks := make([]look, len(batch))
	for i, u := range batch {
		key := r.names.stream(u.name)
		if u.again && !u.last.IsZero() {
			looks[i] = lookAfter(ctx, pipe, key, u.last, int64(entries))
		} else {
			looks[i].tail = pipe.XRevRangeN(ctx, key, "+", "-", 1)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	pages := make([]page, len(batch))
	for i := range looks {
		var err error
		if pages[i], err = looks[i].result(); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// pageAfter looks at one stream.
func (r *streamReader) pageAfter(ctx context.Context, name string, after message.StreamID, p *pageSizer) (page, error) {
	r.reads.Add(1)
	pipe := r.servers.Client.Pipeline()
	k := lookAfter(ctx, pipe, r.names.stream(name), after, int64(p.of(pageEntries)))
	_, _ = pipe.Exec(ctx)
	return k.result()
}

// lookAfter asks for the page first and for the stream's first entry behind
// it: what is trimmed in between makes a page seem incomplete, never the
// other way round.
func lookAfter(ctx context.Context, pipe redis.Pipeliner, key string, after message.StreamID, limit int64) look {
	k := look{after: after, limit: limit}
	k.page = pipe.XRangeN(ctx, key, beyond(after, "-"), "+", limit)
	k.tail = pipe.XRevRangeN(ctx, key, "+", "-", 1)
	if after.IsZero() {
		k.info = pipe.XInfoStream(ctx, key)
	} else {
		k.first = pipe.XRangeN(ctx, key, "-", "+", 1)
	}
	return k
}

func (k *look) result() (p page, err error) {
	if p.tail, err = edge(k.tail); err != nil || k.page == nil {
		p.complete = true
		return p, err
	}
	if p.entries, err = entriesOf(k.page); err != nil {
		return p, err
	}
	p.more = int64(len(p.entries)) == k.limit
	if k.info != nil {
		p.complete, err = whole(k.info)
	} else {
		p.complete, err = reachesBack(k.first, k.after)
	}
	return p, err
}

// whole reports whether a stream has as many entries as were ever added to it,
// so that nothing after 0-0 is missing. A server that doesn't count them (before
// Redis 7) is not believed.
func whole(info *redis.XInfoStreamCmd) (bool, error) {
	v, err := info.Result()
	if err != nil {
		return false, hardError(err)
	}
	return v.Length > 0 && v.EntriesAdded == v.Length, nil
}

// reachesBack reports whether a position is within a stream that begins with the
// entry first, so that the stream still holds everything after it.
func reachesBack(first *redis.XMessageSliceCmd, after message.StreamID) (bool, error) {
	id, err := edge(first)
	return err == nil && !id.IsZero() && !after.Less(id), err
}

// edge returns the id of the single entry asked for, zero when there is none.
func edge(cmd *redis.XMessageSliceCmd) (message.StreamID, error) {
	entries, err := entriesOf(cmd)
	if err != nil || len(entries) == 0 {
		return message.StreamID{}, err
	}
	return entries[0].id, nil
}

func entriesOf(cmd *redis.XMessageSliceCmd) ([]entry, error) {
	messages, err := cmd.Result()
	if err != nil {
		return nil, hardError(err)
	}
	entries := make([]entry, 0, len(messages))
	for _, m := range messages {
		e, err := entryOf(m)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func entryOf(m redis.XMessage) (entry, error) {
	id, err := message.ParsePosition(m.ID)
	if err != nil {
		return entry{}, err
	}
	payload, ok := m.Values[streamField].(string)
	user, _ := m.Values[streamUserField].(string)
	return entry{id: id.StreamID(), payload: payload, user: user, foreign: !ok}, nil
}

// hardError returns nil for the answers of a server that works but has no
// such stream for us: there is none, the key is something else, or an ACL
// keeps it from us. Other errors are worth another try.
func hardError(err error) error {
	var reply redis.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return nil
	case !errors.As(err, &reply):
		return err
	}
	for _, code := range []string{"WRONGTYPE", "NOPERM", "ERR"} {
		if strings.HasPrefix(reply.Error(), code+" ") {
			return nil
		}
	}
	return err
}

// beyond returns id as the exclusive bound of a range, or open for zero.
func beyond(id message.StreamID, open string) string {
	if id.IsZero() {
		return open
	}
	return "(" + id.Position().String()
}

// pageSizer is how much one goroutine asks of Redis at once, as a part of the most
// that it may. What doesn't come within read_timeout wouldn't come when asked
// for again: each failure halves the pageSizer, and some successes double it, so
// that a slow way is tried once in a while only.
type pageSizer struct {
	halved    int
	successes int // since it last changed
}

const (
	// mostHalved makes the largest number that is asked for one.
	mostHalved = 9
	// successesToDouble bounds the time lost for portions that are too large
	// to a timeout in so many reads.
	successesToDouble = 8
)

// of returns the present part of n.
func (p *pageSizer) of(n int) int { return max(1, n>>p.halved) }

func (p *pageSizer) adapt(err error) {
	switch {
	case err != nil:
		p.halved, p.successes = min(p.halved+1, mostHalved), 0
	case p.halved > 0:
		if p.successes++; p.successes == successesToDouble {
			p.halved, p.successes = p.halved-1, 0
		}
	}
}

// retry calls fn until it succeeds, and reports whether it did before ctx
// ended. Redis may be loading its data or changing its role meanwhile. What fn
// asks for is by p.
func retry(ctx context.Context, p *pageSizer, fn func() error) bool {
	delay := 20 * time.Millisecond
	for ctx.Err() == nil {
		err := fn()
		p.adapt(err)
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, time.Second)
	}
	return false
}
