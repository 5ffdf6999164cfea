package plan

import (
	"fmt"
	"net/netip"
	"strings"
)

// MaxSources bounds the expansion of ranges: enough for a billion ports.
const MaxSources = 1 << 16

// ParseSources expands a comma separated list of addresses, ranges
// (127.0.0.2-127.0.0.9) and prefixes (127.1.0.0/28) in the order given, each
// address once. An IPv4 prefix shorter than /31 leaves out its first and last
// address, which name the network and its broadcast.
func ParseSources(list string) ([]netip.Addr, error) {
	var (
		all  []netip.Addr
		seen = make(map[netip.Addr]bool)
	)
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		first, last, err := parseRange(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		for a := first; ; a = a.Next() {
			if !seen[a] {
				if len(all) == MaxSources {
					return nil, fmt.Errorf("%q: more than %d addresses", part, MaxSources)
				}
				seen[a] = true
				all = append(all, a)
			}
			if a == last {
				break
			}
		}
	}
	return all, nil
}

// parseRange returns the first and the last address of one part of the list.
func parseRange(part string) (first, last netip.Addr, err error) {
	if from, to, ok := strings.Cut(part, "-"); ok {
		if first, err = parseSource(from); err != nil {
			return
		}
		if last, err = parseSource(to); err != nil {
			return
		}
		if first.BitLen() != last.BitLen() {
			return first, last, fmt.Errorf("range from IPv4 to IPv6")
		}
		if last.Less(first) {
			return first, last, fmt.Errorf("range ends before it starts")
		}
		return first, last, nil
	}
	if !strings.Contains(part, "/") {
		first, err = parseSource(part)
		return first, first, err
	}
	p, err := netip.ParsePrefix(part)
	if err != nil {
		return first, last, fmt.Errorf("not a prefix such as 127.1.0.0/28")
	}
	if hostBits := p.Addr().BitLen() - p.Bits(); hostBits > 16 {
		return first, last, fmt.Errorf("more than %d addresses", MaxSources)
	}
	first, last = p.Masked().Addr(), lastOf(p)
	if first.Is4() && p.Bits() < 31 {
		first, last = first.Next(), last.Prev()
	}
	return first, last, nil
}

func parseSource(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("not an IP address, want for example 127.0.0.2, 127.0.0.2-127.0.0.9 or 127.1.0.0/28")
	}
	return a.Unmap(), nil
}

// lastOf returns the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// easyPorts is the share of a source address's ports that is quick to use. The
// kernel looks for a free port among those of one parity first; once these are
// taken, each connect walks over all of them: 19,000 connects from one address
// took 11 s of CPU instead of 1.
const easyPorts = 1.0 / 3

// defaultSources returns as many addresses as n connections to a loopback
// target need without trouble, with the given number of ports each; for any
// other target, the zero Addr: the kernel chooses.
func defaultSources(target netip.Addr, n, portsEach int) []netip.Addr {
	if !target.Is4() || !target.IsLoopback() {
		return []netip.Addr{{}}
	}
	each := max(int(float64(portsEach)*easyPorts), 1)
	need := min((n+each-1)/each, MaxSources)
	all := make([]netip.Addr, 0, need)
	a := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for len(all) < need {
		all = append(all, a)
		a = a.Next()
	}
	return all
}

// sources are the addresses that clients connect from, by family. The zero Addr
// leaves the choice to the kernel.
type sources struct{ four, six []netip.Addr }

// of returns the sources for a target's address.
func (s *sources) of(to netip.Addr) []netip.Addr {
	if to.Is4() {
		return s.four
	}
	return s.six
}

func (s *sources) Len() int { return len(s.four) + len(s.six) }

// byFamily sorts addresses.
func byFamily(all []netip.Addr) (s sources) {
	for _, a := range all {
		if a.Is4() {
			s.four = append(s.four, a)
		} else {
			s.six = append(s.six, a)
		}
	}
	return s
}

// ChooseSources returns the sources that n clients of a target need.
func ChooseSources(t *Target, n, portsEach int) (s sources) {
	for _, a := range t.Addrs {
		if a.Addr().Is4() {
			s.four = defaultSources(a.Addr(), n, portsEach)
		} else {
			s.six = defaultSources(a.Addr(), n, portsEach)
		}
	}
	return s
}

// AddressOf returns which of the target's addresses a client connects to: they
// take turns.
func (p *Plan) AddressOf(client uint32) int { return int(client) % len(p.Target.Addrs) }

// Ends returns the addresses of a client's connection. The connections to one target
// address are spread over all sources.
func (p *Plan) Ends(client uint32) (from netip.Addr, to netip.AddrPort) {
	to = p.Target.Addrs[p.AddressOf(client)]
	from4 := p.SourceSet.of(to.Addr())
	return from4[int(client)/len(p.Target.Addrs)%len(from4)], to
}
