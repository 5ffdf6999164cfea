package plan

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Transport is one of the wire's three forms.
type Transport string

const (
	WebSocket Transport = "ws"
	SSE       Transport = "sse"
	Poll      Transport = "poll"
)

// transportShare is one part of a mix of transports.
type transportShare struct {
	kind   Transport
	weight float64
}

// shares reads a transport, or a mix such as ws:70,sse:20,poll:10.
func (t Transport) shares() ([]transportShare, error) {
	if t.single() {
		return []transportShare{{t, 1}}, nil
	}
	var all []transportShare
	for part := range strings.SplitSeq(string(t), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ":")
		w, err := strconv.ParseFloat(weight, 64)
		if kind := Transport(name); !kind.single() || err != nil || !(w > 0 && w < 1e9) {
			return nil, errors.New("not allowed, want ws, sse or poll, or shares such as ws:70,sse:20,poll:10")
		}
		for _, x := range all {
			if x.kind == Transport(name) {
				return nil, fmt.Errorf("%s stands in it twice", name)
			}
		}
		all = append(all, transportShare{Transport(name), w})
	}
	return all, nil
}

func (t Transport) single() bool { return t == WebSocket || t == SSE || t == Poll }

// deal gives every client its transport: the shares are kept exactly, but for
// rounding, and fall together with no pattern of the channels.
func deal(shares []transportShare, clients int) []uint8 {
	if len(shares) < 2 {
		return nil
	}
	var total float64
	for _, s := range shares {
		total += s.weight
	}
	dealt := make([]uint8, 0, clients)
	var sum float64
	for i, s := range shares {
		sum += s.weight
		for float64(len(dealt))+0.5 < sum/total*float64(clients) && len(dealt) < clients {
			dealt = append(dealt, uint8(i))
		}
	}
	for len(dealt) < clients {
		dealt = append(dealt, uint8(len(shares)-1))
	}
	rand.New(rand.NewPCG(rolesSeed, 1)).Shuffle(clients, func(i, k int) { dealt[i], dealt[k] = dealt[k], dealt[i] })
	return dealt
}

// rolesSeed makes the choice of clients the same in every run, and on all
// machines that share one.
const rolesSeed = 0x70757368

// Roles assigns parts to clients, by the client's number.
type Roles struct {
	Movers, Slow int   // how many
	Order        []int // the movers first, then the slow ones; nil when there are neither
}

// newRoles chooses the clients at random, so that no pattern of channels falls
// together with it.
func newRoles(clients int, moving, slow float64) Roles {
	c := Roles{Movers: int(math.Round(moving * float64(clients))), Slow: int(math.Round(slow * float64(clients)))}
	c.Slow = min(c.Slow, clients-c.Movers)
	if c.Movers+c.Slow > 0 {
		c.Order = rand.New(rand.NewPCG(rolesSeed, uint64(clients))).Perm(clients)[:c.Movers+c.Slow]
	}
	return c
}
