// Package loadgen is a load engine for push gateways: it holds many clients
// with a few event loops, publishes through Redis, and accounts for every
// message of every subscription.
//
// It speaks only the wire, so that its figures owe nothing to the code they
// judge. A run is a scenario (Idle, Fanout, RunStorm, RunChurn, RunSlow,
// RunMixed) over a Config; its outcome is a Result, which the command prints
// as a table or as JSON.
//
//	plan     Config, checked against the abilities of the host
//	client   loops of clients behind one of three transports
//	agent    the same in other processes, here or on other hosts
//	publish  Redis, HTTP or a command, to send the messages
//	account  ledgers, counters, latencies and reasons
//	result   the outcome: figures, limits for them, tables
//
// This package runs the scenarios: it commands clients and publisher, samples the
// server and the kernel, and judges the outcome.
package loadgen

import (
	"context"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/agent"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// The names that a caller needs of the packages below.
type (
	Config     = plan.Config
	UsageError = plan.UsageError
	Transport  = plan.Transport
	Stage      = plan.Stage

	Result        = result.Result
	Settings      = result.Settings
	Load          = result.Load
	Connect       = result.Connect
	Sent          = result.Sent
	Server        = result.Server
	Sample        = result.Sample
	Interval      = result.Interval
	Phase         = result.Phase
	Figure        = result.Figure
	Unit          = result.Unit
	SLO           = result.SLO
	Verdict       = result.Verdict
	Watch         = result.Watch
	Latency       = account.Latency
	Reason        = account.Reason
	Counters      = account.Counters
	ProcessSample = probe.ProcessSample
	KernelSample  = probe.KernelSample
	Host          = probe.Host
)

const (
	WebSocket = plan.WebSocket
	SSE       = plan.SSE
	Poll      = plan.Poll

	SpareDescriptors = plan.SpareDescriptors
	Schema           = result.Schema

	PhaseConnect = result.PhaseConnect
	PhaseHold    = result.PhaseHold
	PhasePublish = result.PhasePublish
	PhaseWait    = result.PhaseWait
	PhaseLeave   = result.PhaseLeave

	UnitCount    = result.UnitCount
	UnitDuration = result.UnitDuration
	UnitBytes    = result.UnitBytes
	UnitRate     = result.UnitRate
	UnitPercent  = result.UnitPercent
	UnitCPUs     = result.UnitCPUs

	LatencyHandshake = account.LatencyHandshake
	LatencyReady     = account.LatencyReady
	LatencyDelivery  = account.LatencyDelivery
	LatencySent      = account.LatencySent
)

var (
	DefaultConfig = plan.DefaultConfig
	ParseStages   = plan.ParseStages
	MaskCommand   = plan.MaskCommand

	ParseSLOs    = result.ParseSLOs
	NewWatch     = result.NewWatch
	Figures      = result.Figures
	FindFigure   = result.FindFigure
	WriteFigures = result.WriteFigures
	FormatFigure = result.FormatFigure
)

// ServeAgent holds a share of another process's clients: it takes commands from in
// and answers to out until in ends.
func ServeAgent(ctx context.Context, in io.Reader, out io.Writer) error {
	return agent.Serve(ctx, in, out, 0)
}
