package loadgen

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

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

func (s *sources) len() int { return len(s.four) + len(s.six) }

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

// chooseSources returns those that n clients of a target need.
func chooseSources(t *Target, n, portsEach int) (s sources) {
	for _, a := range t.Addrs {
		if a.Addr().Is4() {
			s.four = defaultSources(a.Addr(), n, portsEach)
		} else {
			s.six = defaultSources(a.Addr(), n, portsEach)
		}
	}
	return s
}

// keepReachable leaves out the addresses of a name that no source of --src can
// reach; with none left, the plan is refused for the first.
func (p *plan) keepReachable() {
	in := slices.DeleteFunc(slices.Clone(p.target.Addrs), func(a netip.AddrPort) bool { return len(p.sources.of(a.Addr())) == 0 })
	if len(in) > 0 {
		p.target.Addrs = in
	}
}

// crowded reports whether over half of the ports of a source address will be in
// use.
func (p *plan) crowded(portsEach int) bool {
	for _, to := range p.target.Addrs {
		if p.Connections/len(p.target.Addrs) > len(p.sources.of(to.Addr()))*portsEach/2 {
			return true
		}
	}
	return false
}

// addressOf returns which of the target's addresses a client connects to: they
// take turns.
func (p *plan) addressOf(client uint32) int { return int(client) % len(p.target.Addrs) }

// ends returns the addresses of a client's connection. Those of one target
// address share out all sources.
func (p *plan) ends(client uint32) (from netip.Addr, to netip.AddrPort) {
	to = p.target.Addrs[p.addressOf(client)]
	from4 := p.sources.of(to.Addr())
	return from4[int(client)/len(p.target.Addrs)%len(from4)], to
}

// Address is one of several addresses of the target.
type Address struct {
	Address string `json:"address"`
	Clients uint64 `json:"clients"` // that were ready, each once
	Failed  uint64 `json:"failed"`  // attempts of clients that never were
	Lost    uint64 `json:"lost"`    // connections of ready clients that ended, not by the run
}

// at returns the account of the address that a client connects to; nil where
// there is only one.
func (l *loop) at(slot uint32) *Address {
	if len(l.addresses) == 0 {
		return nil
	}
	return &l.addresses[l.plan.addressOf(l.number(slot))]
}

// newAddresses makes the accounts of a target with several addresses.
func newAddresses(t *Target) []Address {
	if len(t.Addrs) < 2 {
		return nil
	}
	all := make([]Address, len(t.Addrs))
	for i, a := range t.Addrs {
		all[i].Address = a.String()
	}
	return all
}

// addAddresses sums up accounts by their address: another host may know other
// ones by the same name.
func addAddresses(all, more []Address) []Address {
	for _, x := range more {
		i := slices.IndexFunc(all, func(y Address) bool { return y.Address == x.Address })
		if i < 0 {
			all = append(all, x)
			continue
		}
		all[i].Clients += x.Clients
		all[i].Failed += x.Failed
		all[i].Lost += x.Lost
	}
	slices.SortFunc(all, func(a, b Address) int { return cmp.Compare(a.Address, b.Address) })
	return all
}

// Account writes how the clients fared there.
func (a *Address) Account() string {
	return fmt.Sprintf("%d ready, %d failed, %d lost", a.Clients, a.Failed, a.Lost)
}

// addresses writes the accounts.
func (r *Result) addresses(t *table) {
	if len(r.Addresses) == 0 {
		return
	}
	t.title("addresses")
	for _, a := range r.Addresses {
		t.row(a.Address, "%s", a.Account())
	}
}
