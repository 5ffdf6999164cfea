package fanout

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// history is the newest part of what a stream holds after a position.
type history struct {
	from     streamID
	entries  []entry // oldest first
	complete bool    // nothing after from is missing
}

// readHistory reads a stream from its end back to a position, at most
// config.ReplayMessages entries: who is further behind gets the newest ones.
// What is added meanwhile comes live.
func (l *link) readHistory(ctx context.Context, name string, from streamID) (history, error) {
	l.b.counters.historyReads.Add(1)
	key := l.b.names.stream(name)
	h := history{from: from}
	end := "+"
	for {
		limit := min(pageEntries, l.b.config.ReplayMessages-len(h.entries)+1)
		pipe := l.b.client.Pipeline()
		read := pipe.XRevRangeN(ctx, key, end, beyond(from, "-"), int64(limit))
		var first *redis.XMessageSliceCmd
		var info *redis.XInfoStreamCmd
		if from.isZero() {
			info = pipe.XInfoStream(ctx, key)
		} else {
			first = pipe.XRangeN(ctx, key, "-", "+", 1)
		}
		_, _ = pipe.Exec(ctx)
		entries, err := entriesOf(read)
		if err != nil {
			return h, err
		}
		if h.complete, err = untrimmed(from, first, info); err != nil {
			return h, err
		}
		h.entries = append(h.entries, entries...)
		if len(h.entries) > l.b.config.ReplayMessages {
			h.entries, h.complete = h.entries[:l.b.config.ReplayMessages], false
			break
		}
		if len(entries) < limit {
			break
		}
		end = beyond(entries[len(entries)-1].id, "+")
	}
	slices.Reverse(h.entries)
	return h, nil
}

// messages makes the messages of h up to a position, in order, to be shared
// by all who wait for them. Seq is below those of the messages that follow.
func (h history) messages(channel string, to streamID, seq uint32) []*Message {
	list := make([]*Message, 0, len(h.entries))
	for _, e := range h.entries {
		if to.less(e.id) {
			break
		}
		if !e.foreign {
			list = append(list, NewMessage(channel, e.id.position(), seq, []byte(e.payload)))
		}
	}
	return list
}

// covers reports whether nothing is missing between id and the first entry
// that h gives after it.
func (h history) covers(id streamID) bool {
	return h.complete || len(h.entries) > 0 && !id.less(h.entries[0].id)
}
