package fanout

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pushgate/pushgate/fanout/message"
)

// MaxSinks is how many sinks a broker takes. A channel's sinks are one machine word of
// bits, so that a million channels pay 8 bytes each for them.
const MaxSinks = 64

// Sink is a shard. The broker calls it from its own goroutines and from within Replay, in
// channel order and with the channel's lock held: it must not block and must not call the
// broker. Sinks are compared by identity, so the dynamic type must be a pointer.
type Sink interface {
	// Joined says that Redis confirmed the subscription: the messages with a Seq after j.Seq
	// follow. Earlier ones may have been delivered already, for an earlier Join of the sink.
	Joined(channel string, j Joined)
	// Deliver hands over the channel's next message.
	Deliver(m *message.Message)
	// Gap says that messages may have been lost since g.Since.
	Gap(channel string, g Gap)
}

// Joined is where a sink's view of a channel begins.
type Joined struct {
	// Position resumes at Seq: the last durable id when the channel has a stream, else a
	// plain position.
	Position message.Position
	Seq      uint32
	// Unused says that the channel has had nothing yet, so that 0-0 is the position of
	// its durable messages.
	Unused bool
}

// GapReason says why messages may be missing.
type GapReason = string

const (
	// GapBroker: Redis did not deliver for a while.
	GapBroker GapReason = "broker"
	// GapHistory: the messages after the position are no longer kept, or the position is
	// not of this system.
	GapHistory GapReason = "history"
	// GapSlow: the client did not keep up.
	GapSlow GapReason = "slow"
	// GapTooLarge: a message was larger than clients are handed.
	GapTooLarge GapReason = "too_large"
)

// Gap tells where messages may be missing: after Since, before Seq's successor.
type Gap struct {
	Since  message.Position
	Reason GapReason
	Seq    uint32
}

// sinks gives each sink a bit. Sinks are few and stay for ever.
type sinks struct {
	// Guarded by mu.
	mu    sync.RWMutex
	index map[Sink]int

	// Atomic: replaced by each new sink, read with any lock.
	list atomic.Pointer[[]Sink]
}

// bit returns the bit of m and gives it one at its first call.
func (s *sinks) bit(m Sink) uint64 {
	s.mu.RLock()
	i, ok := s.index[m]
	s.mu.RUnlock()
	if ok {
		return 1 << i
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok = s.index[m]; ok {
		return 1 << i
	}
	i = len(s.index)
	if i == MaxSinks {
		panic(fmt.Sprintf("fanout: a broker takes %d sinks", MaxSinks))
	}
	if s.index == nil {
		s.index = make(map[Sink]int)
	}
	s.index[m] = i
	list := make([]Sink, i+1)
	if old := s.list.Load(); old != nil {
		copy(list, *old)
	}
	list[i] = m
	s.list.Store(&list)
	return 1 << i
}

// all returns the sinks by their bits' numbers.
func (s *sinks) all() []Sink {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}
