package fanout

// topicState is how far a channel's subscription in Redis has come.
//
//	wanted -> subscribing -> confirmed -> live
//	   ^___________________________________|  when the connection is lost
type topicState uint8

const (
	// topicWanted waits for the writer.
	topicWanted topicState = iota
	// topicSubscribing has its SUBSCRIBE sent.
	topicSubscribing
	// topicConfirmed is subscribed, but its place in the stream isn't known
	// yet. What arrives meanwhile is held.
	topicConfirmed
	// topicLive delivers.
	topicLive
)

// topicFlags are the yes-or-no facts of a channel.
type topicFlags uint8

const (
	// topicAgain was live on an earlier connection: whatever was published
	// since then must be made up for.
	topicAgain topicFlags = 1 << iota
	// topicLingers has no member and is due at its deadline.
	topicLingers
	// topicPlain had plain messages, which an outage loses.
	topicPlain
	// topicLostAfter: messages after the last durable one are in no ring and
	// no stream. Kept here only while there is no ring.
	topicLostAfter
	// topicLostBefore: the same, somewhere before the last durable one.
	topicLostBefore
	// topicWhole: nothing has come since it went live, neither a message nor a
	// gap. Kept here only while there is no ring.
	topicWhole
	// topicStreamGone: its stream is gone, and what comes next may begin it
	// anew, by a clock that is behind.
	topicStreamGone
)

// topic is a channel as its link knows it. There may be a million of them,
// one for each user's personal channel: a test pins its size.
type topic struct {
	// Guarded by the link's mu.

	name    string   // with the prefix, shared with go-redis' own map; empty: a free place
	ring    *ring    // nil until there is a message, and after its age
	at      uint64   // moment of the last message or gap, or at which the topic went live
	last    streamID // of the last durable message
	members uint64   // bit set
	waiting uint64   // the members that are still to be told Joined; see untold
	due     uint32   // end of the linger, in the link's milliseconds
	seq     uint32   // of the last message
	live    uint32   // since when it's live, in the link's spans
	state   topicState
	flags   topicFlags
}

// untold returns those of the members that have not been told Joined. A topic that
// lingers has no members, and its place in the list of those in waiting.
func (t *topic) untold() uint64 {
	if t.flags&topicLingers != 0 {
		return 0
	}
	return t.waiting
}

// neighbours returns place + 1 of the topics that began to linger just before this
// one, which does, and just after it; 0 for none.
func (t *topic) neighbours() (earlier, later uint32) {
	return uint32(t.waiting >> 32), uint32(t.waiting)
}

func (t *topic) setNeighbours(earlier, later uint32) { t.waiting = uint64(earlier)<<32 | uint64(later) }

// streamID is a durable Position without room for a node's name.
type streamID struct{ ms, seq uint64 }

// kept returns how many messages are in the topic's ring.
func (t *topic) kept() int {
	if t.ring == nil {
		return 0
	}
	return t.ring.n
}

// durableOnly reports whether a durable position tells all: the channel has a
// stream, and nothing came or was lost here that isn't in it.
func (t *topic) durableOnly() bool { return !t.last.isZero() && !t.lossy() }

// unused reports whether the channel has had nothing yet.
func (t *topic) unused() bool { return t.last.isZero() && !t.lossy() }

// lossy reports whether there were plain messages, or losses of any kind.
func (t *topic) lossy() bool {
	return t.flags&(topicPlain|topicLostAfter|topicLostBefore) != 0 || t.ring != nil && t.ring.hasLost
}

func idOf(p Position) streamID { return streamID{p.Ms, p.Seq} }

func (a streamID) position() Position { return Position{Ms: a.ms, Seq: a.seq} }

func (a streamID) isZero() bool { return a == streamID{} }

func (a streamID) less(b streamID) bool { return a.ms < b.ms || a.ms == b.ms && a.seq < b.seq }

// before returns the id just before a; the zero id has none and stays.
func (a streamID) before() streamID {
	switch {
	case a.seq > 0:
		return streamID{a.ms, a.seq - 1}
	case a.ms > 0:
		return streamID{a.ms - 1, 1<<64 - 1}
	}
	return a
}

// topics is a link's registry: places in chunks that never move, and a table
// from names to places. A Go map of a million strings would cost 38 bytes an
// entry where the table costs 7.
type topics struct {
	chunks []*[topicChunk]topic
	free   []uint32
	used   uint32 // places ever used
	table  topicTable
	prefix int // bytes before the channel's name in topic.name
}

const topicChunk = 1024

func (s *topics) at(id uint32) *topic { return &s.chunks[id/topicChunk][id%topicChunk] }

// channel returns the name as clients know it.
func (s *topics) channel(t *topic) string { return t.name[s.prefix:] }

func (s *topics) len() int { return int(s.used) - len(s.free) }

// find returns the topic of a channel, or nil.
func (s *topics) find(channel string) (uint32, *topic) {
	id, ok := s.table.find(hashName(channel), func(id uint32) bool {
		return s.channel(s.at(id)) == channel
	})
	if !ok {
		return 0, nil
	}
	return id, s.at(id)
}

// add makes the topic of a channel that has none.
func (s *topics) add(full string) (uint32, *topic) {
	var id uint32
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
	} else {
		id = s.used
		s.used++
		if int(id/topicChunk) == len(s.chunks) {
			s.chunks = append(s.chunks, new([topicChunk]topic))
		}
	}
	t := s.at(id)
	*t = topic{name: full}
	s.table.insert(hashName(full[s.prefix:]), id, s.hash)
	return id, t
}

// remove frees a place. The caller has taken care of the ring.
func (s *topics) remove(id uint32) {
	t := s.at(id)
	s.table.remove(hashName(s.channel(t)), id, s.hash)
	*t = topic{}
	s.free = append(s.free, id)
}

func (s *topics) hash(id uint32) uint64 { return hashName(s.channel(s.at(id))) }

// each calls fn for every topic; fn may remove it.
func (s *topics) each(fn func(id uint32, t *topic)) {
	for id := range s.used {
		if t := s.at(id); t.name != "" {
			fn(id, t)
		}
	}
}
