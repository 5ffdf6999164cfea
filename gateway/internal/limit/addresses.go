package limit

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// addressStripes reduces lock contention between shards that accept at the same time.
const addressStripes = 64

// Addresses counts the connections from each address, over all shards, while
// limits.connections_per_address is set. An address costs 30 B (map of two pointer-free words),
// however many connections it has.
type Addresses struct {
	stripes [addressStripes]struct {
		// Guarded by mu
		mu     sync.Mutex
		counts map[uint64]int32
	}
}

// AddressKey returns the key of an IPv4 address, or of an IPv6 address's /64, all of which a single
// host may own. The two can't collide: no /64 that begins with 32 zero bits is routed.
func AddressKey(ip netip.Addr) uint64 {
	b := ip.As16()
	if ip.Is4() || ip.Is4In6() {
		return uint64(binary.BigEndian.Uint32(b[12:]))
	}
	return binary.BigEndian.Uint64(b[:8])
}

// stripe mixes the key: the low bits of a /64 are often the same.
func stripe(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 58 }

// Enter counts one more connection, unless the address already has most.
func (a *Addresses) Enter(key uint64, most int) bool {
	t := &a.stripes[stripe(key)]
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(t.counts[key]) >= most {
		return false
	}
	if t.counts == nil {
		t.counts = make(map[uint64]int32)
	}
	t.counts[key]++
	return true
}

// Leave counts one connection less.
func (a *Addresses) Leave(key uint64) {
	t := &a.stripes[stripe(key)]
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[key]--; t.counts[key] == 0 {
		delete(t.counts, key)
	}
}

// Totals returns how many connections are counted for how many addresses.
func (a *Addresses) Totals() (connections, addresses int) {
	for i := range a.stripes {
		t := &a.stripes[i]
		t.mu.Lock()
		for _, n := range t.counts {
			connections += int(n)
		}
		addresses += len(t.counts)
		t.mu.Unlock()
	}
	return connections, addresses
}
