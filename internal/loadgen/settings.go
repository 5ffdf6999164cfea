package loadgen

import (
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// settings are the flags in effect, without their secrets.
func settings(p *plan.Plan) result.Settings {
	s := result.Settings{
		Insecure:    p.Insecure,
		Origin:      p.Origin,
		Subprotocol: plan.MaskSubprotocol(p.Subprotocol),
		URL:         plan.PrintableURL(p.URL),
		Transport:   string(p.Transport),
		Connections: p.Connections,
		InFlight:    p.InFlight,
		ConnectRate: p.ConnectRate,
		Sources:     p.SourceSet.Len(),
		Channels:    p.Channels,
		Loops:       min(p.Loops, p.Connections),
		Timeout:     p.Timeout.Seconds(),
		Foreign:     p.Foreign,
		Load: &result.Load{
			Stages:      p.Stages,
			Agents:      len(p.AgentLines()),
			Share:       p.Share,
			SlowShare:   p.SlowShare,
			SlowRead:    p.SlowRead,
			ChurnRate:   p.ChurnRate,
			Resume:      p.Resume,
			Backoff:     p.Backoff.Seconds(),
			BackoffMost: p.BackoffMost.Seconds(),
			Before:      p.Before.Seconds(),
			After:       p.After.Seconds(),
			Duration:    p.Duration.Seconds(),
			Hold:        p.Hold.Seconds(),
		},
	}
	for _, field := range p.Headers {
		s.Headers = append(s.Headers, plan.MaskField(field))
	}
	for _, hello := range p.Hello {
		s.Hello = append(s.Hello, plan.MaskWords(hello))
	}
	switch {
	case p.PublishURL != "":
		s.Publish = plan.MaskURL(p.PublishURL)
	case p.PublishCmd != "":
		s.Publish = plan.MaskWords(p.PublishCmd)
	}
	if p.ServerCmd != "" {
		s.Load.ServerSignal = p.ServerSignal
	}
	return s
}

// newResult starts the result of a run that begins now.
func newResult(scenario string, p *plan.Plan, now time.Time) *result.Result {
	r := &result.Result{
		Schema:   result.Schema,
		Scenario: scenario,
		Run:      p.RunID,
		Started:  now.UTC().Format(time.RFC3339Nano),
		Host:     probe.ThisHost(),
		Settings: settings(p),
		Failed:   []string{},
		Warnings: []string{},
		Series:   []result.Sample{},
	}
	if p.Foreign {
		r.NotMeasured = result.NotMeasured()
	}
	return r
}
