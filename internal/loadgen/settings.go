package loadgen

import (
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

func settings(p *plan.Plan) result.Settings {
	var headers []string
	for _, field := range p.Headers {
		headers = append(headers, plan.MaskField(field))
	}
	s := result.Settings{
		Insecure:    p.Insecure,
		Headers:     headers,
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
		Load:        loadOf(p),
		Foreign:     p.Foreign,
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
	return s
}

func loadOf(p *plan.Plan) *result.Load {
	l := &result.Load{
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
	}
	if p.ServerCmd != "" {
		l.ServerSignal = p.ServerSignal
	}
	return l
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
