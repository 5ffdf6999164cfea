package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/reactor"
)

// HostLimits are the host's limits for one process.
type HostLimits struct {
	Descriptors int // open files, after raising the soft limit
	Ports       int // local ports for each source address and destination
}

// SpareDescriptors are for a run's needs besides its clients' sockets: epolls,
// Redis, files.
const SpareDescriptors = 64

// usualPorts is the kernel's default.
const usualPorts = 28232

// ReadHostLimits raises the descriptor limit and reads the port range.
func ReadHostLimits() (HostLimits, error) {
	soft, _, err := reactor.RaiseDescriptorLimit()
	if err != nil && soft == 0 {
		return HostLimits{}, fmt.Errorf("read the descriptor limit: %w", err)
	}
	return HostLimits{
		Descriptors: int(min(soft, maxConnections+SpareDescriptors)),
		Ports:       cmp.Or(preflight.Host().LocalPorts(), usualPorts),
	}, nil
}

// checkFit refuses more clients than the host can carry.
func (p *Plan) checkFit(u *Problems, l HostLimits) {
	own := Share(p.Connections, p.Member, p.Members)
	if n := len(p.AgentLines()); n > 0 {
		own = Share(p.Connections, 0, n)
	}
	if most := l.Descriptors - SpareDescriptors; own > most {
		u.Add("-n", p.Connections, "needs %d descriptors in a process, which may open %d: raise the hard limit (ulimit -Hn, LimitNOFILE=), ask for at most %d, or share them out with --agents %d",
			own+SpareDescriptors, l.Descriptors, max(most, 0), (p.Connections+max(most, 1)-1)/max(most, 1))
	}
	for _, to := range p.Target.Addrs {
		if p.checkSources(u, to.Addr()); len(*u) > 0 {
			return
		}
		// How many share an address is known when reach has been there.
		if len(p.Target.Addrs) == 1 || p.reached {
			p.checkPorts(u, to.Addr(), l)
		}
	}
}

// checkSources refuses sources that can't reach an address of the target.
func (p *Plan) checkSources(u *Problems, to netip.Addr) {
	from := p.SourceSet.of(to)
	if len(from) == 0 {
		from = append(p.SourceSet.four, p.SourceSet.six...)
		u.Add("--src", from[0], "can't reach %s, which is of the other address family", to)
		return
	}
	for _, a := range from {
		if a.IsValid() && a.IsLoopback() != to.IsLoopback() {
			u.Add("--src", a, "can't reach %s: loopback addresses reach only each other", to)
			return
		}
	}
}

// checkPorts refuses more connections to an address than its sources have ports.
func (p *Plan) checkPorts(u *Problems, to netip.Addr, l HostLimits) {
	from := p.SourceSet.of(to)
	if len(p.AgentCommands) > 0 || p.Members > 1 {
		return // other hosts have ports of their own, and a share was looked at with the rest
	}
	clients := (p.Connections + len(p.Target.Addrs) - 1) / len(p.Target.Addrs)
	if most := len(from) * l.Ports; clients > most {
		need := (clients + l.Ports - 1) / l.Ports
		u.Add("-n", p.Connections, "%d source address(es) with %d ports each give %d connections to %s: name %d with --src, or widen net.ipv4.ip_local_port_range",
			len(from), l.Ports, most, to, need)
	}
}

// Reach settles which addresses of the target the clients use, and returns those
// of them that take no connection.
func (p *Plan) Reach(ctx context.Context, l HostLimits) (out []netip.AddrPort, err error) {
	out = p.Target.reach(ctx)
	p.reached = true
	to := p.Target.Addrs // IPv4 before IPv6
	if six := slices.IndexFunc(to, func(a netip.AddrPort) bool { return !a.Addr().Is4() }); six > 0 && p.Sources == "" && p.Target.IsLocal() &&
		float64(p.Connections/len(to)) > float64(l.Ports)*easyPorts {
		p.Target.Addrs = to[:six] // ::1 is a single source address
	}
	var u Problems
	p.checkFit(&u, l)
	return out, errors.Join(u...)
}

// Crowded reports whether over half of the ports of a source address will be in
// use.
func (p *Plan) Crowded(portsEach int) bool {
	for _, to := range p.Target.Addrs {
		if p.Connections/len(p.Target.Addrs) > len(p.SourceSet.of(to.Addr()))*portsEach/2 {
			return true
		}
	}
	return false
}
