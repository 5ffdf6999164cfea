package loadgen

import (
	"context"
	"math"

	"pushgate/internal/preflight"
)

// clientBytes is what a client costs loadgen at most.
const clientBytes = 200

// Doctor compares this host with what the clients of a Config need. Its error
// is a Config that can't be a run on any host.
func Doctor(ctx context.Context, c Config, env preflight.Env) (preflight.Report, error) {
	// What the host can carry is the question here, not the condition.
	limits, err := readHostLimits()
	if err != nil {
		return preflight.Report{}, err
	}
	limits.descriptors = math.MaxInt
	portsOfHost := limits.ports
	limits.ports = math.MaxInt / maxSources
	p, err := newPlan(ctx, c, limits)
	if err != nil {
		return preflight.Report{}, err
	}
	loopback := p.target.Addr.Addr().IsLoopback()
	if c.Sources == "" {
		p.sources = defaultSources(p.target.Addr.Addr(), c.Connections, portsOfHost)
	}
	report := preflight.Run(env, preflight.Target{
		Connections:     c.Connections,
		Side:            preflight.Client,
		SourceAddresses: len(p.sources),
		UserBytes:       clientBytes,
	})
	for i := range report.Findings {
		f := &report.Findings[i]
		// 2, the kernel's default, lets ports be used again on loopback.
		if f.Name == "net.ipv4.tcp_tw_reuse" && f.Value == "2" && loopback {
			f.Verdict, f.Fix, f.Needed = preflight.Pass, "", "1 or 2"
		}
	}
	return report, nil
}
