package loadgen

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
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
	proxy    string // the program that listens at the target, where it is a proxy; empty: not known
	target   Target
	sources  sources
	fields   string      // of every request, behind its first line
	offered  []string    // subprotocols
	tls      *tls.Config // nil: plain
	channels Channels
	stages   []Stage // nil: all clients at once
	minter   *minter // nil: no tokens
	key      []byte  // for other processes

	cast    cast
	mix     []uint8 // per client, in mixes of transports: which of kinds
	kinds   []Transport
	paths   []string // of kinds, ready for the query
	mostSeq int64    // no channel's number goes further
	// One process of several holds the clients agent, agent+agents, ...
	agent, agents int
	// reached: of the target's addresses those that take no connection are out.
	reached bool
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
	p.Foreign = c.IsForeign()
	shares, err := c.Transport.shares()
	if err != nil {
		return nil, err // Validate has said so
	}
	if p.target, err = ParseTarget(ctx, c.URL); err != nil {
		u.add("--url", printableURL(c.URL), "%v", err)
	} else if a, remote := p.target.remote(); remote && !c.AllowRemote {
		u.add("--url", printableURL(c.URL), "%s is not on this host; --allow-remote lets a run load other machines", a)
	}
	for _, x := range shares {
		path := p.target.request(x.kind)
		if p.Foreign {
			path = p.target.foreignRequest()
		}
		p.kinds, p.paths = append(p.kinds, x.kind), append(p.paths, path)
	}
	p.fields, p.offered = c.requestFields(p.target.Host, &u), c.subprotocols(p.kinds, &u)
	p.tls = p.secureConfig(&u)
	if p.channels, err = ParseChannels(c.Channels, c.Connections); err != nil {
		u.add("--channels", "", "%v", err)
	}
	if c.JWTKey != "" {
		p.readTokens(&u)
	}
	if c.Sources != "" {
		all, err := ParseSources(c.Sources)
		if err != nil {
			u.add("--src", "", "%v", err)
		}
		p.sources = byFamily(all)
		p.keepReachable()
	}
	if len(u) > 0 {
		return nil, errors.Join(u...)
	}
	if c.Sources == "" {
		p.sources = chooseSources(&p.target, c.Connections, l.ports)
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
	for _, to := range p.target.Addrs {
		if p.checkSources(u, to.Addr()); len(*u) > 0 {
			return
		}
		// How many share an address is known when reach has been there.
		if len(p.target.Addrs) == 1 || p.reached {
			p.checkPorts(u, to.Addr(), l)
		}
	}
}

// checkSources refuses what can't reach an address of the target.
func (p *plan) checkSources(u *usage, to netip.Addr) {
	from := p.sources.of(to)
	if len(from) == 0 {
		from = append(p.sources.four, p.sources.six...)
		u.add("--src", from[0], "can't reach %s, which is of the other address family", to)
		return
	}
	for _, a := range from {
		if a.IsValid() && a.IsLoopback() != to.IsLoopback() {
			u.add("--src", a, "can't reach %s: loopback addresses reach only each other", to)
			return
		}
	}
}

// checkPorts refuses more connections to an address than its sources have ports.
func (p *plan) checkPorts(u *usage, to netip.Addr, l hostLimits) {
	from := p.sources.of(to)
	if len(p.AgentCommands) > 0 || p.agents > 1 {
		return // other hosts have ports of their own, and a share was looked at with the rest
	}
	clients := (p.Connections + len(p.target.Addrs) - 1) / len(p.target.Addrs)
	if most := len(from) * l.ports; clients > most {
		need := (clients + l.ports - 1) / l.ports
		u.add("-n", p.Connections, "%d source address(es) with %d ports each give %d connections to %s: name %d with --src, or widen net.ipv4.ip_local_port_range",
			len(from), l.ports, most, to, need)
	}
}

// reach settles which addresses of the target the clients use, and returns those
// of them that take no connection.
func (p *plan) reach(ctx context.Context, l hostLimits) (out []netip.AddrPort, err error) {
	out = p.target.reach(ctx)
	p.reached = true
	if four, six := p.target.families(); p.Sources == "" && p.target.isLocal() && len(four) > 0 && len(six) > 0 &&
		float64(p.Connections/len(p.target.Addrs)) > float64(l.ports)*easyPorts {
		p.target.Addrs = four // ::1 is a single source address
	}
	var u usage
	p.checkFit(&u, l)
	return out, errors.Join(u...)
}
