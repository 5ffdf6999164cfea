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

// Fields of an entry of a channel's stream: the payload, and its publisher where known.
const (
	streamField     = "data"
	streamUserField = "user"
)

const (
	// pageEntries is the most entries of one stream in one reply.
	pageEntries = 500
	// firstPageEntries is the same where many streams are looked at at once: after a
	// short outage most have a few new entries or none.
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

// streamReader reads the streams of a link's channels.
type streamReader struct {
	// Immutable.

	servers *upstream.Servers
	names   names
	page    int // bytes of a page of history, less in tests

	// Atomic.

	reads *atomic.Uint64 // counts them
}

// firstPages looks at many streams in one round trip, for so many entries of each. Of a
// topic that is new only the end of its stream matters.
func (r *streamReader) firstPages(ctx context.Context, batch []unsynced, entries int) ([]page, error) {
	pipe := r.servers.Client.Pipeline()
	looks := make([]look, len(batch))
	for i, u := range batch {
		key := r.names.stream(u.name)
		if u.again && !u.last.IsZero() {
			looks[i] = lookAfter(ctx, pipe, key, u.last, entries)
		} else {
			looks[i].tail = pipe.XRevRangeN(ctx, key, "+", "-", 1)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	pages := make([]page, len(batch))
	for i, k := range looks {
		if k.tail == nil {
			found, e, err := r.result(ctx, r.names.stream(batch[i].name), k)
			if err != nil {
				return nil, err
			}
			pages[i] = pageOf(found, e, batch[i].last, entries)
		} else if ends, err := entriesOf(k.tail); err != nil {
			return nil, err
		} else if len(ends) > 0 {
			pages[i].tail = ends[0].id
		}
	}
	return pages, nil
}

// pageAfter looks at one stream.
func (r *streamReader) pageAfter(ctx context.Context, name string, after message.StreamID, p *pageSizer) (page, error) {
	r.reads.Add(1)
	limit := p.of(pageEntries)
	entries, e, err := r.entriesAfter(ctx, r.names.stream(name), after, limit)
	return pageOf(entries, e, after, limit), err
}

func pageOf(entries []entry, e extent, after message.StreamID, limit int) page {
	return page{entries: entries, more: len(entries) == limit, complete: e.holds(after), tail: e.last}
}

// entriesAfter returns entries of a stream, and its ends.
func (r *streamReader) entriesAfter(ctx context.Context, key string, after message.StreamID, limit int) ([]entry, extent, error) {
	pipe := r.servers.Client.Pipeline()
	k := lookAfter(ctx, pipe, key, after, limit)
	_, _ = pipe.Exec(ctx)
	return r.result(ctx, key, k)
}

// look is the commands for one stream in a pipeline: for its entries after a position and
// its ends, or for its last entry alone.
type look struct {
	entries, tail *redis.XMessageSliceCmd
	info          *redis.XInfoStreamCmd
}

// lookAfter asks for the ends of the stream behind the entries: a trim in between makes
// these seem incomplete, never the other way round.
func lookAfter(ctx context.Context, pipe redis.Pipeliner, key string, after message.StreamID, limit int) look {
	return look{
		entries: pipe.XRangeN(ctx, key, beyond(after, "-"), "+", int64(limit)),
		info:    pipe.XInfoStream(ctx, key),
	}
}

func (r *streamReader) result(ctx context.Context, key string, k look) ([]entry, extent, error) {
	entries, err := entriesOf(k.entries)
	if err != nil {
		return nil, extent{}, err
	}
	e, err := r.extentOf(ctx, key, k.info)
	return entries, e, err
}

// extent is the ends of a stream, as XINFO STREAM reports them.
type extent struct {
	length      int64            // negative where it isn't known
	first, last message.StreamID // entries; zero: there is none
	whole       bool             // it has as many entries as were ever added to it
	size        int              // bytes of its first or last entry, whichever is larger
	deleted     message.StreamID // the newest that was ever removed from among the others
}

// holds reports whether the stream still has everything after a position.
func (e *extent) holds(after message.StreamID) bool {
	return !e.first.IsZero() && !after.Less(e.first) || e.whole && after.IsZero()
}

// extentOf reads the reply. A server that doesn't report all of it, or refuses to, is asked for
// the first entry and the last.
func (r *streamReader) extentOf(ctx context.Context, key string, info *redis.XInfoStreamCmd) (e extent, err error) {
	v, err := info.Result()
	if redis.HasErrorPrefix(err, "no such key") {
		return e, nil
	} else if hardError(err) != nil {
		return e, err
	}
	e.length = -1
	var ends []redis.XMessage
	if err == nil {
		e.length = v.Length
		// Before Redis 7 a server doesn't count added entries.
		e.whole = v.Length > 0 && v.EntriesAdded == v.Length
		ends = []redis.XMessage{v.FirstEntry, v.LastEntry}
		if id, err := message.ParsePosition(v.MaxDeletedEntryID); err == nil {
			e.deleted = id.StreamID()
		}
	}
	if e.length != 0 && (ends == nil || ends[0].ID == "" || ends[1].ID == "") {
		pipe := r.servers.Client.Pipeline()
		first, last := pipe.XRangeN(ctx, key, "-", "+", 1), pipe.XRevRangeN(ctx, key, "+", "-", 1)
		_, _ = pipe.Exec(ctx)
		if err := errors.Join(hardError(first.Err()), hardError(last.Err())); err != nil {
			return e, err
		}
		if ends = append(first.Val(), last.Val()...); len(ends) == 0 {
			e.length = 0
		}
	}
	for _, m := range ends {
		if m.ID == "" {
			continue
		}
		one, err := entryOf(m)
		if err != nil {
			return e, err
		}
		if e.first.IsZero() {
			e.first = one.id
		}
		e.last, e.size = one.id, max(e.size, one.bytes())
	}
	return e, nil
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

// hardError returns nil for the answers of a server that works but has no such stream for
// us: there is none, the key is something else, or an ACL keeps it from us. Other errors
// are worth another try.
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

// pageSizer is how much one goroutine asks of Redis at once, as a part of the most that it may.
// A reply that is too slow for read_timeout would be so again: each failure halves the
// pageSizer, and some successes double it, so that a slow way is tried once in a while only.
type pageSizer struct {
	halved    int
	successes int // since it last changed
}

const (
	// mostHalved makes the largest number that is asked for one.
	mostHalved = 9
	// successesToDouble bounds the time lost for page sizes that are too large to a timeout
	// in so many reads.
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

// retry calls fn until it succeeds, and reports whether it did before ctx ended. Redis may be
// loading its data or changing its role meanwhile. p sizes fn's requests.
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
