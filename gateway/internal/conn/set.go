package conn

import (
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/heartbeat"
	"github.com/pushgate/pushgate/internal/reactor"
)

// ReadBuffer is the size of the buffer that a loop reads into; it is reused for every event.
const ReadBuffer = 64 << 10

// Options are the settings of connections. A reload replaces them, see Set.Use.
type Options struct {
	MaxConnections  int            // of all loops
	Descriptors     int64          // limit of the process
	AcceptRate      limit.Rate     // of all loops
	FirstRequest    time.Duration  // from the accept to the handler's first deadline
	PerAddress      int            // connections of an address, 0 = no limit
	Trusted         proxy.Networks // of proxies
	ProxyProtocol   proxy.Protocol // of trusted proxies
	TotalQueueBytes int            // of all loops
	TotalInputBytes int            // of all loops
	Handshakes      int            // of TLS, in flight in all loops
}

// Shared is the state that all sets of a process share.
type Shared struct {
	// Immutable
	Limited *limit.LogLimiter
	Started time.Time // tick 0
	Node    string    // name of this process among others

	sets []*Set // complete before the first loop runs

	// Atomic
	Connections atomic.Int64 // sockets of clients
	Inputs      atomic.Int64 // bytes of kept input
	accepts     limit.Bucket
	rejectedTLS limit.Bucket // of handshakes, see mayHandshake
	askedToShed atomic.Int32 // loops still to check whether their queues exceed their share

	TLS       Handshaking     // guards itself
	Addresses limit.Addresses // guards itself
	Queued    queue.Total     // guards itself
}

// Uptime is the time since tick 0.
func (s *Shared) Uptime() time.Duration { return time.Since(s.Started) }

// TickOf returns the tick of a time.
func (s *Shared) TickOf(t time.Time) uint32 { return uint32(t.Sub(s.Started) / Tick) }

// Set holds the connections of one loop.
type Set struct {
	// Immutable
	shared  *Shared
	number  int // of the set in the process
	log     *slog.Logger
	loop    *reactor.Loop
	handler Handler
	onDue   func(i uint32) // due, bound once

	Slots     Slots
	Clock     Clock  // and deadlines
	Input     Inputs // kept
	Addrs     Addresses
	Acceptor  Acceptor
	Reading   Reading
	Secure    Secure
	Admission Admission
	Out       Output

	// Owned by the loop
	options *Options // swapped by Use

	marked  []uint32 // slots closed since the last reap
	gone    []uint32 // closed slots to free
	hurried bool     // see Hurry

	stats Stats

	rbuf [ReadBuffer]byte
}

// Stats count a loop's connections.
type Stats struct {
	Accepts  uint64
	BytesIn  uint64
	BytesOut uint64
	Batched  uint64 // sends that went through io_uring
	Closes   map[reasons.Close]uint64

	Handshakes  map[Handshake]uint64 // of TLS
	TLSFailures map[reasons.TLS]uint64

	Exhausted uint64 // clients rejected for want of a descriptor
	Latest    uint64 // messages dropped for a newer one
}

// NewStats returns counters at zero.
func NewStats() Stats {
	return Stats{
		Closes:      make(map[reasons.Close]uint64),
		Handshakes:  make(map[Handshake]uint64),
		TLSFailures: make(map[reasons.TLS]uint64),
	}
}

// Clone returns a copy.
func (t *Stats) Clone() Stats {
	c := *t
	c.Closes = maps.Clone(t.Closes)
	c.Handshakes = maps.Clone(t.Handshakes)
	c.TLSFailures = maps.Clone(t.TLSFailures)
	return c
}

// Add adds the counters of another loop.
func (t *Stats) Add(o *Stats) {
	t.Accepts += o.Accepts
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
	t.Batched += o.Batched
	t.Exhausted += o.Exhausted
	t.Latest += o.Latest
	for k, n := range o.Closes {
		t.Closes[k] += n
	}
	for k, n := range o.Handshakes {
		t.Handshakes[k] += n
	}
	for k, n := range o.TLSFailures {
		t.TLSFailures[k] += n
	}
}

// New returns a set without connections, which accepts from the listeners once its loop runs.
// handler gets its events, and turn is the handler of the loop, which calls the set in its turns.
func New(shared *Shared, listeners []Listener, o *Options, log *slog.Logger, handler Handler, turn reactor.Handler) (*Set, error) {
	s := &Set{
		shared:  shared,
		number:  len(shared.sets),
		log:     log,
		handler: handler,
		options: o,
		stats:   NewStats(),
	}
	s.Clock = Clock{set: s, wheel: heartbeat.New(wheelSize)}
	s.Input.set, s.Addrs.set = s, s
	s.Reading.set = s
	s.Acceptor.set = s
	s.Secure.set = s
	s.Admission.set = s
	s.Out = Output{set: s, queues: queue.NewSet(&shared.Queued)}
	s.onDue = s.due
	loop, err := reactor.New(turn)
	if err != nil {
		return nil, err
	}
	s.loop = loop
	for _, l := range listeners {
		if err := s.Acceptor.watch(l); err != nil {
			loop.Close()
			return nil, fmt.Errorf("watch the listener: %w", err)
		}
	}
	shared.sets = append(shared.sets, s)
	return s, nil
}

// Use replaces the options.
func (s *Set) Use(o *Options) {
	s.options = o
	s.Admission.admit() // there may be more places
}

// Loop returns the loop that owns the set.
func (s *Set) Loop() *reactor.Loop { return s.loop }

// Stats returns the counters, which the loop owns.
func (s *Set) Stats() *Stats { return &s.stats }

// ID returns a connection's id, which is unique in the fleet and over time: node, number of the set,
// slot and the slot's generation.
func (s *Set) ID(i uint32) string { return string(s.AppendID(nil, i)) }

// AppendID appends a connection's id.
func (s *Set) AppendID(b []byte, i uint32) []byte {
	b = append(append(b, s.shared.Node...), '-')
	b = strconv.AppendUint(b, uint64(s.number), 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(i), 36)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(s.Slots.at(i).gen), 36)
}

// Age returns how long ago a connection was accepted.
func (s *Set) Age(i uint32) time.Duration {
	return time.Duration(s.Clock.now-s.Slots.at(i).born) * Tick
}

// Ready handles an event of the loop.
func (s *Set) Ready(k reactor.Key, ev reactor.Events) {
	if !s.Clock.awake {
		s.Clock.wakeUp()
	}
	if k.Slot > listenerSlot-maxListeners {
		s.Acceptor.ready(k)
		return
	}
	c := s.Slots.find(k.Slot, k.Gen)
	if c == nil {
		return
	}
	if ev&reactor.Out != 0 {
		s.Out.flush(k.Slot, c)
		if c.state == stateGone {
			return
		}
	}
	ends := reactor.In | reactor.Hup
	if c.flags&flagHalf != 0 {
		ends = reactor.Gone // the end of its side may be reported again
	}
	if ev&ends != 0 {
		s.Reading.read(k.Slot, c)
	}
	if took := s.loop.Spent(Costly); took > Costly && c.state == stateOpen && s.Reading.demoted.again(k, s.Clock.now) {
		s.Reading.demote(k.Slot, c, took)
	}
}

// ReadMore does what no event tells the loop to do, in each of its turns: it accepts, reads, gives
// up incomplete records, and makes room for input.
func (s *Set) ReadMore() (more bool) {
	accepts := s.Acceptor.more()
	s.Reading.readNewcomers()
	demoted := s.Reading.readDemoted()
	expired := s.Secure.expire()
	return s.Input.endVictims(victimsPerSlice) || accepts || demoted || expired
}

// Close stops the loop and cuts the remaining connections.
func (s *Set) Close() {
	s.loop.Close()
	s.Secure.close()
	s.Out.batch.close()
	s.Acceptor.close()
	s.Acceptor.closeAllRejected()
	for i := uint32(1); i < s.Slots.End(); i++ {
		if c := s.Slots.at(i); c.state != stateFree {
			reactor.CloseFD(int(c.fd))
		}
	}
}

// Key identifies a connection beyond the present turn of the loop.
type Key = reactor.Key

// Slice is how long a kind of work may take the loop in one go.
const Slice = reactor.Slice
