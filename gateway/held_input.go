package gateway

import (
	"unsafe"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// heldInputs are the clients of a shard to close because all inputs together passed
// limits.total_input_bytes.
type heldInputs struct {
	victims []reactor.Key // some may be gone by their turn
	buckets []int64       // bytes by size and age; made when first needed
}

const (
	// victimsPerSlice is the number of clients closed before the next poll for events: about 1 ms.
	victimsPerSlice = 64
	// agesPerSize is the number of age classes per size.
	agesPerSize = 64
	// inputSizes is the number of size classes, up to 8 GiB by queue.BucketOf.
	inputSizes = 128
)

// inputLimit is the threshold for closing clients: a sixteenth below the bound, because a shard
// below its share lets an excess pass until another one notices.
func (s *shard) inputLimit() (all, share int64) {
	all = int64(s.cfg.Limits.TotalInputBytes) / 16 * 15
	return all, all / int64(len(s.srv.shards))
}

// shedInputs chooses clients to close while all inputs together pass limits.total_input_bytes, in
// the shards above their share of it: those with the largest inputs, of these the oldest, down to
// nine tenths, so that it doesn't run on every read. Input that arrives meanwhile waits for the
// next call. It scans the inputs twice, unsorted: sorting would take tens of milliseconds for many
// small ones.
func (s *shard) shedInputs() {
	limit, share := s.inputLimit()
	if len(s.held.victims) > 0 || s.inputBytes <= share || s.srv.inputBytes.Load() <= limit {
		return
	}
	excess := min(s.srv.inputBytes.Load()-limit/10*9, s.inputBytes-share/10*9)
	h := &s.held
	if h.buckets == nil {
		h.buckets = make([]int64, inputSizes*agesPerSize)
	}
	clear(h.buckets)
	s.eachInput(func(_ uint32, bytes int, since uint32) { h.buckets[s.bucket(bytes, since)] += int64(bytes) })
	first := len(h.buckets) - 1
	for ; first > 0 && excess > h.buckets[first]; first-- {
		excess -= h.buckets[first]
	}
	s.eachInput(func(slot uint32, bytes int, since uint32) {
		switch b := s.bucket(bytes, since); {
		case b < first, b == first && excess <= 0:
			return
		case b == first:
			excess -= int64(bytes)
		}
		h.victims = append(h.victims, s.conns.Key(slot))
	})
}

// eachInput calls fn for all kept client input.
func (s *shard) eachInput(fn func(slot uint32, bytes int, since uint32)) {
	s.inputs.Each(func(in *input) {
		if in.owner != 0 {
			fn(in.owner, in.held, in.since)
		}
	})
	for slot, p := range s.unknown {
		fn(slot, p.bytes(), s.conns.Born(slot))
	}
	for slot, t := range s.taskOf {
		fn(slot, t.held, s.conns.Born(slot))
	}
}

// bucket returns the index for an input's size and age, larger and then older ones later.
func (s *shard) bucket(bytes int, since uint32) int {
	age := min(int(s.conns.Now()-since)/8, agesPerSize-1)
	return min(int(queue.BucketOf(bytes)), inputSizes-1)*agesPerSize + age
}

// boundInput makes room for the latest read, so that getting below the bound doesn't wait for the
// rest of the round's events.
func (s *shard) boundInput() {
	s.shedInputs()
	limit, _ := s.inputLimit()
	for n := 0; n < victimsPerSlice && s.srv.inputBytes.Load() > limit && s.endVictims(1); n++ {
	}
}

// endVictims closes the next chosen clients, up to most of them.
func (s *shard) endVictims(most int) (more bool) {
	h := &s.held
	n := min(len(h.victims), most)
	for _, v := range h.victims[:n] {
		c := s.find(v)
		if c != nil && c.phase != phaseClosed && (c.in != 0 || c.flags&(flagUnknown|flagTask) != 0) {
			s.endInput(v.Slot, c)
			s.dropInput(v.Slot, c) // now: the next client is closed only if that isn't enough
		}
	}
	if h.victims = h.victims[n:]; len(h.victims) == 0 {
		h.victims = nil
	}
	return len(h.victims) > 0
}

// endInput closes a client because of its input.
func (s *shard) endInput(i uint32, c *client) {
	s.request = http1.Request{}
	switch {
	case c.framed():
		s.stats.rejects[reasons.RejectTotalInput]++
		s.end(i, c, reasons.CloseOverload)
	case c.phase == phaseOpen, s.conns.Queued(i), s.owed(i, c): // a pipelined request
		s.stats.rejects[reasons.RejectTotalInput]++
		s.conns.Release(i, reasons.CloseOverload)
	default:
		if c.phase == phaseHead {
			s.setPage(i, c, s.pageIn(s.inputs.At(c.in).buf))
		}
		s.refuseOver(i, c, reasons.RejectTotalInput)
	}
}

// dropInput frees the input of a closed client.
func (s *shard) dropInput(i uint32, c *client) {
	s.dropTask(i, c)
	s.freeInput(c)
	if c.flags&flagUnknown != 0 {
		s.known(i)
		c.flags &^= flagUnknown
	}
}

// known removes and returns the request of a WebSocket that was waiting for its token.
func (s *shard) known(i uint32) *params {
	p := s.unknown[i]
	if p != nil {
		s.holdInput(-p.bytes())
		delete(s.unknown, i)
	}
	return p
}

// bytes estimates the memory of p while it is kept.
func (p *params) bytes() int {
	const place = 160 // map entry, growth included
	n := int(unsafe.Sizeof(*p)) + place + len(p.resume.Text)
	for _, name := range p.channels {
		n += len(name) + int(unsafe.Sizeof(name))
	}
	return n
}
