// Package plan turns a Config into a plan: all of it checked, names resolved,
// clients dealt out to channels, transports, addresses and roles. Nothing of a plan
// changes during a run.
package plan

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// Plan is a Config that was checked against the host: nothing of it changes
// during the run.
type Plan struct {
	Config
	RunID       string // names this run in its payloads
	Proxy       string // the program that listens at the target, where it is a proxy; empty: not known
	Target      Target
	SourceSet   sources
	headerLines string      // of every request, behind its first line
	Offered     []string    // subprotocols
	TLS         *tls.Config // nil: plain
	ChannelSet  Channels
	StageList   []Stage // nil: all clients at once
	minter      *minter // nil: no tokens

	Roles  Roles
	mix    []uint8 // per client, in mixes of transports: which of kinds
	Kinds  []Transport
	paths  []string // of kinds, ready for the query
	MaxSeq int64    // no channel's number goes further
	// reached: the target's addresses that take no connection are out.
	reached bool
}

// New resolves a Config. Its error is a *UsageError or several joined.
func New(ctx context.Context, c Config, l HostLimits) (*Plan, error) {
	stages, err := c.shape()
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var (
		p = &Plan{Config: c, StageList: stages}
		u Problems
	)
	p.Foreign, p.Members = c.IsForeign(), max(c.Members, 1)
	shares, err := c.Transport.shares()
	if err != nil {
		return nil, err // Validate has said so
	}
	if p.Target, err = ParseTarget(ctx, c.URL); err != nil {
		u.Add("--url", PrintableURL(c.URL), "%v", err)
	} else if a, remote := p.Target.remote(); remote && !c.AllowRemote {
		u.Add("--url", PrintableURL(c.URL), "%s", NotThisHost(a))
	}
	for _, x := range shares {
		path := p.Target.request(x.kind)
		if p.Foreign {
			path = p.Target.foreignRequest()
		}
		p.Kinds, p.paths = append(p.Kinds, x.kind), append(p.paths, path)
	}
	p.headerLines, p.Offered = c.requestFields(p.Target.Host, &u), c.subprotocols(p.Kinds, &u)
	p.TLS = p.secureConfig(&u)
	if p.ChannelSet, err = ParseChannels(c.Channels, c.Connections); err != nil {
		u.Add("--channels", "", "%v", err)
	}
	if c.JWTKey != "" {
		p.readTokens(&u)
	}
	if c.Sources != "" {
		all, err := ParseSources(c.Sources)
		if err != nil {
			u.Add("--src", "", "%v", err)
		}
		p.SourceSet = byFamily(all)
		// An address that no source can reach is left out; with none left, the plan is
		// refused for the first.
		if in := slices.DeleteFunc(slices.Clone(p.Target.Addrs), func(a netip.AddrPort) bool { return len(p.SourceSet.of(a.Addr())) == 0 }); len(in) > 0 {
			p.Target.Addrs = in
		}
	}
	if len(u) > 0 {
		return nil, errors.Join(u...)
	}
	if c.Sources == "" {
		p.SourceSet = ChooseSources(&p.Target, c.Connections, l.Ports)
	}
	if p.MaxSeq = int64(c.Messages); c.Timed {
		p.MaxSeq = maxMessages // as many as the time brings
	}
	p.mix = deal(shares, c.Connections)
	p.Roles = newRoles(c.Connections, c.Share, c.SlowShare)
	p.checkFit(&u, l)
	if len(u) > 0 {
		return nil, errors.Join(u...)
	}
	var id [account.RunLength / 2]byte
	rand.Read(id[:])
	p.RunID = hex.EncodeToString(id[:])
	return p, nil
}

// Kind returns the transport of a client.
func (p *Plan) Kind(client uint32) Transport {
	if p.mix == nil {
		return p.Kinds[0]
	}
	return p.Kinds[p.mix[client]]
}

// path returns where a client's requests go, ready for the query.
func (p *Plan) path(client uint32) string {
	if p.mix == nil {
		return p.paths[0]
	}
	return p.paths[p.mix[client]]
}

// Parts is how many paces a rate is divided into.
func (p *Plan) Parts() int {
	return min(p.Loops, p.Connections) * max(len(p.AgentLines()), 1) * p.Members
}

// Share returns the number of clients in part k of n, where the parts take clients by turns.
func Share(clients, k, n int) int { return max((clients-k+n-1)/n, 0) }

// AgentLines lists the command lines of the processes; "" is this program
// on this host.
func (p *Plan) AgentLines() []string {
	return append(make([]string, p.Agents), p.AgentCommands...)
}

// AppendMessage appends a message of the size that is asked for.
func (p *Plan) AppendMessage(dst []byte, s account.Stamp) []byte {
	if p.Foreign {
		return account.AppendForeignPayload(dst, p.RunID, s, p.Size)
	}
	return account.AppendPayload(dst, p.RunID, s, p.Size)
}
