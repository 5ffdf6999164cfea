package loadgen

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// fate is what became of a message on its way to Redis.
type fate uint8

const (
	fateTaken   fate = iota // Redis has it
	fateUnheard             // it has, and nobody was subscribed
	fateRefused             // it answered with an error
	fateUnsent              // it was never written
	fateUnknown             // it was written, and no answer came
)

// fateOf reads the reply to one command of a batch.
func fateOf(reply redis.Cmder) fate {
	err := reply.Err()
	n, plain := reply.(*redis.IntCmd)
	script, durable := reply.(*redis.Cmd)
	refusal := redis.Error(nil)
	switch {
	case err == nil && plain && n.Val() == 0:
		return fateUnheard
	case err == nil, plain && n.Val() > 0, durable && script.Val() != nil:
		return fateTaken // a reply that was read keeps its value when the next one can't be
	case errors.As(err, &refusal):
		return fateRefused
	case errors.Is(err, errDial), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrClosed):
		return fateUnsent
	}
	return fateUnknown
}

// lapse is a message that no client is expected to get: it was never sent, or
// nobody knows.
type lapse struct {
	Channel uint32 `json:"channel"`
	Seq     uint32 `json:"seq"`
	Unknown bool   `json:"unknown,omitempty"`
}

// excuse takes the lapses of a channel off what a subscription misses, and
// finds the first message that is missed all the same.
func (a *audit) excuse(g *ledger, sub uint32, lapses []lapse, ch, published uint32, n uint64, first uint32) (uint64, uint32) {
	excused := make(map[uint32]bool)
	for _, x := range lapses {
		if x.Channel != ch || !g.lacks(sub, x.Seq) {
			continue
		}
		n--
		if x.Unknown {
			a.Unknown++
		}
		excused[x.Seq] = true
	}
	for first > 0 && first < published && (excused[first] || !g.lacks(sub, first)) {
		first++
	}
	return n, first
}

// lacks reports whether a message has not come to a subscription.
func (g *ledger) lacks(sub, seq uint32) bool {
	if seq > g.last[sub] {
		return true
	}
	for _, h := range g.holes[sub] {
		if seq >= h.from && seq <= h.to {
			return true
		}
	}
	return false
}
