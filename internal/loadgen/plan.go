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
	"time"

	"pushgate/internal/reactor"
)

// hostLimits is what the host lets one process do.
type hostLimits struct {
	descriptors int // open files, after raising the soft limit
	ports       int // local ports for each source address and destination
}

// SpareDescriptors is what a run needs besides its clients' sockets: epolls,
// Redis, files.
const SpareDescriptors = 64

// readHostLimits raises the descriptor limit and reads the port range.
func readHostLimits() (hostLimits, error) {
	soft, _, err := reactor.RaiseDescriptorLimit()
	if err != nil && soft == 0 {
		return hostLimits{}, fmt.Errorf("read the descriptor limit: %w", err)
	}
	l := hostLimits{descriptors: int(min(soft, maxConnections+SpareDescriptors)), ports: 28232}
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
	stages   []Stage // nil: all clients at once
	minter   *minter // nil: no tokens
	key      []byte  // for other processes
	cast     cast
	mix      []uint8 // per client, in mixes of transports: which of kinds
	kinds    []Transport
	paths    []string // of kinds, ready for the query
	mostSeq  int64    // no channel's number goes further
	// One process of several holds the clients agent, agent+agents, ...
	agent, agents int
}

// newPlan resolves a Config. Its error is a *UsageError or several joined.
func newPlan(ctx context.Context, c Config, l hostLimits) (*plan, error) {
	stages, err := c.shape()
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var (
		p = &plan{Config: c, stages: stages, agent: c.Member, agents: max(c.Members, 1)}
		u usage
	)
	shares, err := c.Transport.shares()
	if err != nil {
		return nil, err // Validate has said so
	}
	for _, x := range shares {
		if p.target, err = ParseTarget(ctx, c.URL, x.kind); err != nil {
			break
		}
		p.kinds, p.paths = append(p.kinds, x.kind), append(p.paths, p.target.Path)
	}
	if err != nil {
		u.add("--url", printableURL(c.URL), "%v", err)
	} else if a := p.target.Addr.Addr(); !a.IsLoopback() && !c.AllowRemote {
		u.add("--url", printableURL(c.URL), "%s is not on this host; --allow-remote lets a run load other machines", a)
	}
	if p.channels, err = ParseChannels(c.Channels, c.Connections); err != nil {
		u.add("--channels", "", "%v", err)
	}
	if c.JWTKey != "" {
		p.readTokens(&u)
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
	if p.mostSeq = int64(c.Messages); c.Timed {
		p.mostSeq = maxMessages // as many as the time brings
	}
	p.mix = deal(shares, c.Connections)
	p.cast = newCast(c.Connections, c.Share, c.SlowShare)
	p.checkFit(&u, l)
	if len(u) > 0 {
		return nil, errors.Join(u...)
	}
	var id [runLength / 2]byte
	rand.Read(id[:])
	p.run = hex.EncodeToString(id[:])
	return p, nil
}

// kind returns the transport of a client.
func (p *plan) kind(client uint32) Transport {
	if p.mix == nil {
		return p.kinds[0]
	}
	return p.kinds[p.mix[client]]
}

// path returns where a client's requests go, ready for the query.
func (p *plan) path(client uint32) string {
	if p.mix == nil {
		return p.paths[0]
	}
	return p.paths[p.mix[client]]
}

// shape reads the stages and sets what follows from them.
func (c *Config) shape() ([]Stage, error) {
	if c.Stages == "" {
		return nil, nil
	}
	stages, err := ParseStages(c.Stages)
	if err != nil {
		return nil, &UsageError{Flag: "--stages", Want: err.Error()}
	}
	c.Connections, c.Timed = peak(stages), true
	return stages, nil
}

// readTokens reads --jwt-key and signs a token to see that it can.
func (p *plan) readTokens(u *usage) {
	var err error
	if p.key = p.keyData; p.key == nil {
		p.key, err = readKey(p.JWTKey)
	}
	if err == nil {
		p.minter, err = newMinter(p.key)
	}
	if err == nil {
		p.minter.issuer, p.minter.audience = p.JWTIssuer, p.JWTAudience
		_, err = p.minter.mint(0, new(Channels), time.Now())
	}
	if err != nil {
		u.add("--jwt-key", p.JWTKey, "%v", err)
	}
}

// parts is how many paces a rate is divided into.
func (p *plan) parts() int {
	return min(p.Loops, p.Connections) * max(len(p.agentCommands()), 1) * p.agents
}

// shareOf is how many clients process k of n holds.
func (p *plan) shareOf(k, n int) int { return max((p.Connections-k+n-1)/n, 0) }

// checkFit refuses what the host can't carry.
func (p *plan) checkFit(u *usage, l hostLimits) {
	own := p.shareOf(p.agent, p.agents)
	if n := len(p.agentCommands()); n > 0 {
		own = p.shareOf(0, n)
	}
	if most := l.descriptors - SpareDescriptors; own > most {
		u.add("-n", p.Connections, "needs %d descriptors in a process, which may open %d: raise the hard limit (ulimit -Hn, LimitNOFILE=), ask for at most %d, or share them out with --agents %d",
			own+SpareDescriptors, l.descriptors, max(most, 0), (p.Connections+max(most, 1)-1)/max(most, 1))
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
	if len(p.AgentCommands) > 0 || p.agents > 1 {
		return // other hosts have ports of their own, and a share was looked at with the rest
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
