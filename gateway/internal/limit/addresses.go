package limit

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// addressStripes keeps shards that accept at the same time out of each other's
// way.
const addressStripes = 64

// Addresses counts the connections from each address, over all shards, while
// limits.connections_per_address is set. An address costs 30 B (map of two
// pointer-free words), whether it has one connection or a thousand.
type Addresses struct {
	stripes [addressStripes]struct {
		// Guarded by mu
		mu     sync.Mutex
		counts map[uint64]int32
	}
}

// AddressKey is what counts as one address: an IPv4 address, or the /64 of an
// IPv6 one, of which a single host has all it likes. The two can't be equal:
// no /64 that begins with 32 zero bits is routed.
func AddressKey(ip netip.Addr) uint64 {
	b := ip.As16()
	if ip.Is4() || ip.Is4In6() {
		return uint64(binary.BigEndian.Uint32(b[12:]))
	}
	return binary.BigEndian.Uint64(b[:8])
}

// stripe mixes the key: the low bits of a /64 are often the same.
func stripe(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 58 }

// Enter counts one more connection, unless there are as many already.
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

// Leave counts one less.
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
