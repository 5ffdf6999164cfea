package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// scenario is a run of the library.
type scenario func(context.Context, plan.Config, loadgen.Options) (*result.Result, error)

// Defaults that only make sense for one scenario.
const (
	stormShare = 0.5
	slowShare  = 0.1
	slowRate   = 100
	churnRate  = 100
)

func scenarioCommands() []*cobra.Command {
	return []*cobra.Command{
		scenarioCommand("idle", "connect and hold: what does a connection cost?", loadgen.Idle, func(f *runFlags) {
			c := &f.config
			rateVar(f.set, &c.ConnectRate, "rate", "connects per second; 0: as many as -c lets")
			rateVar(f.set, &c.ConnectRate, "connect-rate", "the same, as other scenarios spell it")
			f.declareStages("connections", "rate", "connect-rate", "hold")
			f.set.DurationVar(&c.Hold, "hold", c.Hold, "how long to hold the connections")
		}),
		scenarioCommand("fanout", "publish to many: does every message reach every subscriber, and when?", loadgen.Fanout, func(f *runFlags) {
			f.declarePublishing()
			f.declareStages("connections", "connect-rate", "messages")
			countVar(f.set, &f.config.Messages, "messages", "", "messages, over all channels in turn")
			rateVar(f.set, &f.config.Rate, "rate", "messages per second; 0: each when the one before has come to all")
		}),
		scenarioCommand("storm", "cut many clients, or restart the gateway: how long does recovery take, and is anything lost?", loadgen.RunStorm, func(f *runFlags) {
			c := &f.config
			c.Share = stormShare
			f.declarePublishing()
			f.declareRate()
			f.set.Float64Var(&c.Share, "share", c.Share, "the part of the clients that is cut, 0 to 1")
			f.set.StringVar(&c.ServerCmd, "server-cmd", c.ServerCmd, "a command that starts the gateway at --url, VAR=value before it if wanted; it is started first, and restarting it is the storm, which hits all clients")
			f.set.StringVar(&c.ServerSignal, "server-signal", c.ServerSignal, "how it is stopped: TERM, INT or KILL")
			f.set.DurationVar(&c.Before, "before", c.Before, "steady time before the storm")
			f.set.DurationVar(&c.After, "after", c.After, "steady time once all are back")
			f.set.DurationVar(&c.GiveUp, "give-up", c.GiveUp, "how long to wait until all are back")
			f.set.DurationVar(&c.Backoff, "backoff", c.Backoff, "longest wait of a client before it comes back, at random; doubled with each failure")
			f.set.DurationVar(&c.BackoffMost, "backoff-max", c.BackoffMost, "and never longer than this")
			f.set.BoolVar(&c.Resume, "resume", c.Resume, "clients come back with the position of their last message")
		}),
		scenarioCommand("churn", "connect and disconnect steadily: what does it cost?", loadgen.RunChurn, func(f *runFlags) {
			f.config.Share, f.config.ChurnRate = 1, churnRate
			f.declarePublishing()
			f.declareRate()
			f.declareChurn()
			f.declareDuration("how long to churn")
		}),
		scenarioCommand("slow", "let some clients not read: what do the others feel?", loadgen.RunSlow, func(f *runFlags) {
			f.config.SlowShare, f.config.Rate = slowShare, slowRate
			f.declarePublishing()
			f.declareRate()
			f.declareSlow()
			f.declareDuration("how long to publish, first with all reading and then with the slow ones")
		}),
		scenarioCommand("mixed", "all of it at once, as a scenario file says", loadgen.RunMixed, declareMixed),
	}
}

func declareMixed(f *runFlags) {
	f.declarePublishing()
	f.declareRate()
	f.declareChurn()
	f.declareSlow()
	f.declareDuration("how long to load")
	f.set.StringVar(&f.scenario, "scenario", "", "a YAML file with these flags as keys, such as configs/scenarios/chat.yaml; flags on the command line win")
}

func scenarioCommand(name, about string, run scenario, declare func(f *runFlags)) *cobra.Command {
	c := &cobra.Command{Use: name, Short: about}
	f := newRunFlags(c.Flags(), declare)
	c.RunE = func(c *cobra.Command, _ []string) error {
		slos, err := f.check()
		if err != nil {
			return cli.Usage(c, err)
		}
		return f.run(c, run, slos)
	}
	return c
}

func newRunFlags(set *pflag.FlagSet, declare func(f *runFlags)) *runFlags {
	f := &runFlags{set: set, config: plan.DefaultConfig()}
	f.declareClients()
	declare(f)
	return f
}

// check completes the flags from the scenario file, and reports everything that
// is wrong with them.
func (f *runFlags) check() ([]result.SLO, error) {
	if err := f.readFile(); err != nil {
		return nil, err
	}
	slos, err := result.ParseSLOs(f.slos)
	return slos, errors.Join(f.checkStages(), f.config.Validate(), err)
}

// checkStages refuses flags that the stages replace, and sets the number of
// clients from them.
func (f *runFlags) checkStages() error {
	if f.config.Stages == "" {
		return nil
	}
	stages, err := plan.ParseStages(f.config.Stages)
	if err != nil {
		return &plan.UsageError{Flag: "--stages", Want: err.Error()}
	}
	var all []error
	for _, name := range f.replaced {
		if f.set.Changed(name) {
			all = append(all, &plan.UsageError{Flag: "--" + name, Want: "--stages says it already; leave out one of the two"})
		}
	}
	f.config.Connections = slices.MaxFunc(stages, func(a, b plan.Stage) int { return a.Target - b.Target }).Target
	return errors.Join(all...)
}
