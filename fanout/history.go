package fanout

import (
	"context"
	"slices"

	"github.com/pushgate/pushgate/fanout/message"
)

const (
	// pageBytes is the most that one answer has of a stream, unless a single message is
	// larger.
	pageBytes = 256 << 10
	// pieceBytes is about the most that Redis is asked for at once where nothing is kept
	// but the ids.
	pieceBytes = 1 << 20
	// entryBytes is the count of an entry besides its payload.
	entryBytes = 160
	// firstEntries is how many entries are asked for at once while their size is a guess,
	// and moreEntries by how many times more the next time.
	firstEntries, moreEntries = 32, 4
)

// history is a part of a stream: its entries behind from, up to to.
type history struct {
	from, to message.StreamID
	entries  []entry // oldest first
	bytes    int     // that they count
	size     int     // of the last entries, on the average
	length   int64   // of the stream; negative where unknown
	complete bool    // nothing after from is missing
	whole    bool    // it's a stream of which nothing was ever removed
	end      bool    // the stream had nothing after to
	deleted  message.StreamID
}

// readPage reads a stream from a position on, up to a page. size is the size of its
// entries where that is known, received the last durable message that has been received
// already, so the stream reaches at least that far.
func (r *streamReader) readPage(ctx context.Context, name string, from, received message.StreamID, size int, p *pageSizer) (history, error) {
	r.reads.Add(1)
	h := history{from: from, to: from, size: size}
	if size == 0 {
		key := r.names.stream(name)
		e, err := r.extentOf(ctx, key, r.servers.Client.XInfoStream(ctx, key))
		if err != nil {
			return h, err
		}
		h.size = e.size
	}
	return h, r.extend(ctx, name, &h, received, p)
}

// extend reads on behind h, to the end of the page or of the stream.
func (r *streamReader) extend(ctx context.Context, name string, h *history, received message.StreamID, p *pageSizer) error {
	key := r.names.stream(name)
	h.end = false
	for limit := 0; !h.end && (len(h.entries) == 0 || h.bytes+h.size <= r.page); {
		limit = nextLimit(limit, r.page-h.bytes, h.size)
		entries, e, err := r.entriesAfter(ctx, key, h.to, p.of(limit))
		if err != nil {
			return err
		}
		if len(h.entries) > 0 && (e.first.IsZero() || h.to.Less(e.first)) {
			return nil // it was trimmed behind h: the next page reports that
		}
		h.length, h.whole, h.deleted = e.length, e.whole, e.deleted
		h.complete = e.holds(h.from)
		h.end = len(entries) < p.of(limit)
		if !h.add(entries, r.page) {
			h.end = false
			return nil
		}
	}
	if h.end && h.to.Less(received) {
		h.to = received
	}
	return nil
}

// add appends entries as far as there is room, one at least, and reports whether all had
// room.
func (h *history) add(entries []entry, most int) bool {
	before, count := h.bytes, len(h.entries)
	for _, e := range entries {
		n := e.bytes()
		if len(h.entries) > 0 && h.bytes+n > most {
			h.size = max(h.size, n)
			return false
		}
		h.entries = append(h.entries, e)
		h.bytes += n
		h.to = e.id
	}
	if n := len(h.entries) - count; n > 0 {
		h.size = (h.bytes - before) / n
	}
	return true
}

func (e *entry) bytes() int { return entryBytes + len(e.payload) + len(e.user) }

// nextLimit returns how many entries to ask for that are of a size, after a number
// before, 0 at first. Their real size may differ.
func nextLimit(before, room, size int) int {
	most := moreEntries * before
	if before == 0 {
		most = firstEntries
	}
	return max(1, min(room/max(size, entryBytes), most, pageEntries))
}

// starts is where the newest entries of a stream begin.
type starts struct {
	ids  []message.StreamID // newest first
	all  bool               // there are none before these
	few  int                // there are no more entries than that, whose ids aren't known
	seq  uint32             // of the topic's last message then
	when uint32             // in the link's milliseconds
}

// of returns the position before the newest n entries up to until, zero for the whole stream;
// it is zero where there are no more than n.
func (s *starts) of(n int, until message.StreamID) (start message.StreamID, ok bool) {
	i := 0
	for !until.IsZero() && i < len(s.ids) && until.Less(s.ids[i]) {
		i++
	}
	if i += n; i < len(s.ids) {
		return s.ids[i], true
	}
	return message.StreamID{}, s.all && n >= s.few
}

// readBack finds where the newest n entries of a stream begin, by their ids alone, unless there
// are no more than few. The entries are returned too where they fit into a page.
func (r *streamReader) readBack(ctx context.Context, name string, received message.StreamID, n, few int, p *pageSizer) (s starts, h *history, err error) {
	key := r.names.stream(name)
	e, err := r.extentOf(ctx, key, r.servers.Client.XInfoStream(ctx, key))
	if err != nil {
		return s, nil, err
	}
	if e.length >= 0 && e.length <= int64(few) {
		return starts{all: true, few: int(e.length)}, nil, nil
	}
	r.reads.Add(1)
	h = &history{size: e.size, whole: e.whole, deleted: e.deleted, length: e.length, end: true}
	size, end := e.size, "+"
	for limit := 0; len(s.ids) <= n && !s.all; {
		limit = min(nextLimit(limit, pieceBytes, size), n+1-len(s.ids))
		entries, err := entriesOf(r.servers.Client.XRevRangeN(ctx, key, end, "-", int64(p.of(limit))))
		if err != nil {
			return s, nil, err
		}
		s.all = len(entries) < p.of(limit)
		bytes := 0
		for _, e := range entries {
			s.ids = append(s.ids, e.id)
			bytes += e.bytes()
		}
		if len(entries) > 0 {
			size, end = bytes/len(entries), beyond(entries[len(entries)-1].id, "+")
		}
		if h != nil {
			if h.bytes += bytes; h.bytes > r.page {
				h = nil
			} else {
				h.entries = append(h.entries, entries...)
			}
		}
	}
	if h != nil {
		h.complete = h.whole
		if len(s.ids) > n {
			h.from, h.complete, h.whole = s.ids[n], true, false
			h.entries = h.entries[:n]
		}
		slices.Reverse(h.entries)
		h.to, h.size = received, size
		if len(s.ids) > 0 && h.to.Less(s.ids[0]) {
			h.to = s.ids[0]
		}
	}
	return s, h, nil
}

// messages makes the messages of h up to a position, in order, to be shared by all waits for
// them. Seq is below the Seq of the messages that follow. lost is the last message that is left
// out because it is too large, zero for none.
func (h *history) messages(channel string, to message.StreamID, seq uint32, o *oversize) (list []*message.Message, lost message.StreamID) {
	list = make([]*message.Message, 0, len(h.entries))
	for _, e := range h.entries {
		if to.Less(e.id) {
			break
		}
		if o.is(e.payload) {
			lost = e.id
			continue
		}
		if !e.foreign {
			m := message.New(channel, e.id.Position(), seq, []byte(e.payload))
			m.User = e.user
			list = append(list, m)
		}
	}
	return list, lost
}

// covers reports whether nothing is missing between id and the first entry that h gives after
// it. From Redis 7 on, an entry that was removed from within h, up to a position, is missing
// too.
func (h *history) covers(id, to message.StreamID) bool {
	if id.Less(h.deleted) && !to.Less(h.deleted) {
		return false
	}
	return h.complete || len(h.entries) > 0 && !id.Less(h.entries[0].id)
}
