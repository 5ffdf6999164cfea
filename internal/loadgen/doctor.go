package loadgen

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/preflight"
)

// The memory of a client in loadgen, at most. From 8,000 clients with TLS to 18,000, resident memory
// grew by 440 B for each.
const (
	clientBytes = 200
	secureBytes = 500
)

// Doctor compares this host with the needs of a Config's clients. Its error
// is a Config that can't be a run on any host.
func Doctor(ctx context.Context, c plan.Config, env preflight.Env) (preflight.Report, error) {
	// The host's limits are the question here, not the condition.
	limits, err := plan.ReadHostLimits()
	if err != nil {
		return preflight.Report{}, err
	}
	limits.Descriptors = math.MaxInt
	portsOfHost := limits.Ports
	limits.Ports = math.MaxInt / plan.MaxSources
	p, err := plan.New(ctx, c, limits)
	if err != nil {
		return preflight.Report{}, err
	}
	loopback := p.Target.IsLocal()
	if c.Sources == "" {
		p.SourceSet = plan.ChooseSources(&p.Target, c.Connections, portsOfHost)
	}
	userBytes := clientBytes
	if p.Target.Secure {
		userBytes = secureBytes
	}
	report := preflight.Run(env, preflight.Target{
		Connections:     c.Connections,
		Side:            preflight.Client,
		SourceAddresses: p.SourceSet.Len(),
		UserBytes:       userBytes,
	})
	if p.Target.Socket != "" {
		report.Findings = slices.DeleteFunc(report.Findings, func(f preflight.Finding) bool { return strings.HasPrefix(f.Name, "net.") })
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		// 2, the kernel's default, lets ports be used again on loopback.
		if f.Name == "net.ipv4.tcp_tw_reuse" && f.Value == "2" && loopback {
			f.Verdict, f.Fix, f.Needed = preflight.Pass, "", "1 or 2"
		}
	}
	return report, nil
}
