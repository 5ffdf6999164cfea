package fanout

import (
	"hash/maphash"

	"github.com/pushgate/pushgate/fanout/internal/memory"
	"github.com/pushgate/pushgate/fanout/message"
)

// topicState is the progress of a channel's subscription in Redis.
//
//	wanted -> subscribing -> confirmed -> live
//	   ^___________________________________|  when the connection is lost
type topicState uint8

const (
	// topicWanted waits for the writer.
	topicWanted topicState = iota
	// topicSubscribing has its SUBSCRIBE sent.
	topicSubscribing
	// topicConfirmed is subscribed, but its place in the stream isn't known yet. Messages that
	// arrive meanwhile are held.
	topicConfirmed
	// topicLive delivers.
	topicLive
)

// topicFlags are the yes-or-no facts of a channel.
type topicFlags uint8

const (
	// topicAgain was live on an earlier connection: whatever was published since then
	// must be recovered.
	topicAgain topicFlags = 1 << iota
	// topicLingers has no sink and is due at its deadline.
	topicLingers
	// topicPlain had plain messages, which an outage loses.
	topicPlain
	// topicLostAfter: messages after the last durable one are in no ring and no stream.
	// Kept here only while there is no ring.
	topicLostAfter
	// topicLostBefore: the same, somewhere before the last durable one.
	topicLostBefore
	// topicWhole: nothing has arrived since it went live, neither a message nor a gap. Kept
	// here only while there is no ring.
	topicWhole
	// topicStreamGone: its stream is gone, and the next message may begin it anew, by a
	// clock that is behind.
	topicStreamGone
)

// topic is a channel as its link knows it. There may be a million of them, one for each
// user's personal channel: a test pins its size.
type topic struct {
	// Guarded by the link's mu.

	name    string           // with the prefix, shared with go-redis' own map; empty: a free place
	ring    *ring            // nil until there is a message, and after its age
	at      uint64           // time of the last message or gap, or at which the topic went live
	last    message.StreamID // of the last durable message
	sinks   uint64           // bit set
	waiting uint64           // the sinks that await Joined; see untold
	due     uint32           // end of the linger, in the link's milliseconds
	seq     uint32           // of the last message
	live    uint32           // since when it's live, in the link's spans
	state   topicState
	flags   topicFlags
}

// untold returns the sinks that await Joined. A topic that lingers has no sinks, and its place
// in the list of lingering topics in waiting.
func (t *topic) untold() uint64 {
	if t.flags&topicLingers != 0 {
		return 0
	}
	return t.waiting
}

// neighbours returns the places of the topics that began to linger just before this one,
// which does, and just after it; 0 for none.
func (t *topic) neighbours() (earlier, later uint32) {
	return uint32(t.waiting >> 32), uint32(t.waiting)
}

func (t *topic) setNeighbours(earlier, later uint32) { t.waiting = uint64(earlier)<<32 | uint64(later) }

// kept returns how many messages are in the topic's ring.
func (t *topic) kept() int {
	if t.ring == nil {
		return 0
	}
	return t.ring.n
}

// durableOnly reports whether a durable position is exact: the channel has a stream, and
// nothing was received or lost here that isn't in it.
func (t *topic) durableOnly() bool { return !t.last.IsZero() && !t.lossy() }

// unused reports whether the channel has had nothing yet.
func (t *topic) unused() bool { return t.last.IsZero() && !t.lossy() }

// lossy reports whether there were plain messages, or losses of any kind.
func (t *topic) lossy() bool {
	return t.flags&(topicPlain|topicLostAfter|topicLostBefore) != 0 || t.ring != nil && t.ring.hasLost
}

// topics is a link's registry: topics by their places, from 1, which never move, and by
// their names. The zero value isn't usable.
type topics struct {
	chunks memory.Chunks[topic]
	free   []uint32
	lookup memory.Lookup
	prefix int // bytes before the channel's name in topic.name
}

func newTopics(prefix string) topics {
	return topics{chunks: memory.NewChunks[topic](), prefix: len(prefix)}
}

// hashSeed is the process's own, so that clients can't choose names that collide.
var hashSeed = maphash.MakeSeed()

// hashName places a channel on a link, by its upper half, and in that link's lookup by
// the lower one.
func hashName(channel string) uint64 { return maphash.String(hashSeed, channel) }

func (s *topics) at(place uint32) *topic { return s.chunks.At(place) }

// channel returns the name as clients know it.
func (s *topics) channel(t *topic) string { return t.name[s.prefix:] }

func (s *topics) len() int { return int(s.chunks.Last()) - len(s.free) }

// find returns the topic of a channel, or 0 and nil.
func (s *topics) find(channel string) (place uint32, t *topic) {
	place = s.lookup.Find(uint32(hashName(channel)), func(n uint32) bool { return s.channel(s.at(n)) == channel })
	if place == 0 {
		return 0, nil
	}
	return place, s.at(place)
}

// findFull is find for a name with the prefix, which it may lack.
func (s *topics) findFull(full string) (uint32, *topic) {
	if len(full) < s.prefix {
		return 0, nil
	}
	return s.find(full[s.prefix:])
}

// add makes the topic of a channel that has none, by its name with the prefix.
func (s *topics) add(full string) (place uint32, t *topic) {
	if n := len(s.free); n > 0 {
		place, s.free = s.free[n-1], s.free[:n-1]
	} else {
		place = s.chunks.Grow()
	}
	t = s.at(place)
	*t = topic{name: full}
	s.lookup.Insert(place, s.hash(place), s.hash)
	return place, t
}

// remove frees a place. The caller has taken care of the ring.
func (s *topics) remove(place uint32) {
	s.lookup.Remove(place, s.hash(place), s.hash)
	*s.at(place) = topic{}
	s.free = append(s.free, place)
}

func (s *topics) hash(place uint32) uint32 { return uint32(hashName(s.channel(s.at(place)))) }

// each calls fn for every topic; fn may remove it.
func (s *topics) each(fn func(place uint32, t *topic)) {
	for place := uint32(1); place <= s.chunks.Last(); place++ {
		if t := s.at(place); t.name != "" {
			fn(place, t)
		}
	}
}
