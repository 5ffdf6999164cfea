package loadgen

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"pushgate/internal/reactor"
)

// hostLimits is what the host lets one process do.
type hostLimits struct {
	descriptors int // open files, after raising the soft limit
	ports       int // local ports for each source address and destination
}

// spareDescriptors is what a run needs besides its clients' sockets: epolls,
// Redis, files.
const spareDescriptors = 64

// readHostLimits raises the descriptor limit and reads the port range.
func readHostLimits() (hostLimits, error) {
	soft, _, err := reactor.RaiseDescriptorLimit()
	if err != nil && soft == 0 {
		return hostLimits{}, fmt.Errorf("read the descriptor limit: %w", err)
	}
	l := hostLimits{descriptors: int(min(soft, maxConnections+spareDescriptors)), ports: 28232}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if fields := strings.Fields(string(text)); err == nil && len(fields) == 2 {
		low, err1 := strconv.Atoi(fields[0])
		high, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil && high >= low {
			l.ports = high - low + 1
		}
	}
	return l, nil
}

// plan is a Config that was checked against the host: nothing of it changes
// during the run.
type plan struct {
	Config
	run      string // names this run in its payloads
	target   Target
	sources  []netip.Addr
	channels Channels
}

// newPlan resolves a Config. Its error is a *UsageError or several joined.
func newPlan(ctx context.Context, c Config, l hostLimits) (*plan, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var (
		p   = &plan{Config: c}
		u   usage
		err error
	)
	if p.target, err = ParseTarget(ctx, c.URL, c.Transport); err != nil {
		u.add("--url", printableURL(c.URL), "%v", err)
	} else if a := p.target.Addr.Addr(); !a.IsLoopback() && !c.AllowRemote {
		u.add("--url", printableURL(c.URL), "%s is not on this host; --allow-remote lets a run load other machines", a)
	}
	if p.channels, err = ParseChannels(c.Channels, c.Connections); err != nil {
		u.add("--channels", "", "%v", err)
	}
	if c.Sources != "" {
		if p.sources, err = ParseSources(c.Sources); err != nil {
			u.add("--src", "", "%v", err)
		}
	}
	if len(u) > 0 {
		return nil, errors.Join(u...)
	}
	if p.sources == nil {
		p.sources = defaultSources(p.target.Addr.Addr(), c.Connections, l.ports)
	}
	p.checkFit(&u, l)
	if len(u) > 0 {
		return nil, errors.Join(u...)
	}
	var id [runLength / 2]byte
	rand.Read(id[:])
	p.run = hex.EncodeToString(id[:])
	return p, nil
}

// checkFit refuses what the host can't carry.
func (p *plan) checkFit(u *usage, l hostLimits) {
	if most := l.descriptors - spareDescriptors; p.Connections > most {
		u.add("-n", p.Connections, "needs %d descriptors, this process may open %d: raise the hard limit (ulimit -Hn, LimitNOFILE=) or ask for at most %d",
			p.Connections+spareDescriptors, l.descriptors, max(most, 0))
	}
	target := p.target.Addr.Addr()
	for _, a := range p.sources {
		if a.IsValid() && a.Is4() != target.Is4() {
			u.add("--src", a, "can't reach %s, which is of the other address family", target)
			return
		}
		if a.IsValid() && a.IsLoopback() != target.IsLoopback() {
			u.add("--src", a, "can't reach %s: loopback addresses reach only each other", target)
			return
		}
	}
	if most := len(p.sources) * l.ports; p.Connections > most {
		need := (p.Connections + l.ports - 1) / l.ports
		u.add("-n", p.Connections, "%d source address(es) with %d ports each give %d connections: name %d with --src, or widen net.ipv4.ip_local_port_range",
			len(p.sources), l.ports, most, need)
	}
}

// source returns the address that a client connects from.
func (p *plan) source(client uint32) netip.Addr {
	return p.sources[int(client)%len(p.sources)]
}
