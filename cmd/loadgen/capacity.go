package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/internal/loadgen/capacity"
	"github.com/pushgate/pushgate/internal/loadgen/report"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
)

// capacityFlags are the flags of capacity that are not its configuration.
type capacityFlags struct {
	slos      []string
	json, dir string
}

func capacityCommand() *cobra.Command {
	config := capacity.DefaultConfig()
	c := &cobra.Command{Use: "capacity", Short: "climb until it breaks, and write the bill for more (--target N)"}
	f := declareCapacity(c, &config)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var err error
		config.SLOs, err = result.ParseSLOs(f.slos)
		config.Command = invocation(c)
		if err = errors.Join(err, config.Validate()); err != nil {
			return cli.Usage(c, err)
		}
		return refused(c, f.run(c, config))
	}
	return c
}

func declareCapacity(command *cobra.Command, c *capacity.Config) *capacityFlags {
	s, f := command.Flags(), &capacityFlags{}
	countVar(s, &c.Target, "target", "", "the connections to write the bill for")
	s.StringVar(&c.Run.ServerCmd, "server-cmd", c.Run.ServerCmd, "start the gateway with this command, VAR=value before it if wanted, afresh for each step; without it, a gateway must be running")
	s.IntVar(&c.Run.PID, "pid", c.Run.PID, "the process of a gateway that is running (default: found by the port)")
	declareTarget(s, &c.Run)
	declareForeignPublish(s, &c.Run)
	s.StringVar((*string)(&c.Run.Transport), "transport", string(c.Run.Transport), "ws, sse or poll")
	s.StringVar(&c.Run.Channels, "channels", c.Run.Channels, "channels of each client, as for a run")
	s.StringVar(&c.Run.Redis, "redis", c.Run.Redis, "the gateway's redis.url, as for a run")
	s.StringVar(&c.Run.Prefix, "prefix", c.Run.Prefix, "the gateway's redis.prefix")
	s.StringVar(&c.Run.Sources, "src", c.Run.Sources, "source addresses, as for a run")
	s.StringVar(&c.Run.JWTKey, "jwt-key", c.Run.JWTKey, "the clients' tokens, as for a run")
	countVar(s, &c.Run.InFlight, "concurrency", "c", "handshakes at the same time")
	s.DurationVar(&c.Run.Timeout, "timeout", c.Run.Timeout, "longest handshake, and longest wait while nothing arrives")
	sizeVar(s, &c.Run.Size, "size", "bytes of a message")
	countVar(s, &c.Most, "max-connections", "", "connections of the largest step; 0: 10000, or what this process may open")
	countVar(s, &c.Steps, "steps", "", "steps of connections")
	s.DurationVar(&c.Hold, "hold", c.Hold, "how long each of them is held")
	countVar(s, &c.Warmup, "warmup", "", "handshakes of clients that leave again, before each step, so that the gateway has its working size")
	s.DurationVar(&c.Beat, "test-heartbeat", c.Beat, "heartbeat of a gateway that is started, short so that its cost shows; 0: its own")
	countVar(s, &c.Subscribers, "subscribers", "", "clients in the steps of deliveries")
	rateVar(s, &c.MostRate, "max-deliveries", "deliveries per second of the largest step")
	s.DurationVar(&c.Publish, "publish", c.Publish, "how long each of them lasts")
	countVar(s, &c.Verify, "verify", "", "measure so many connections as well, and compare with the prediction")
	s.DurationVar(&c.Heartbeat, "heartbeat", c.Heartbeat, "the heartbeat to write the bill for")
	s.DurationVar(&c.Every, "message-every", c.Every, "how often each client gets a message, for the bill")
	s.StringArrayVar(&f.slos, "slo", nil, "a limit for each step; may be repeated (default: failed==0, lost==0, missing==0, delivery.p99<1s)")
	s.StringVar(&f.json, "json", "", "write the outcome as JSON to this file; - for stdout, instead of the text")
	s.StringVar(&f.dir, "out", "", "write run.json and report.html to this new directory")
	return f
}

// run measures, and writes the outcome.
func (f *capacityFlags) run(c *cobra.Command, config capacity.Config) error {
	file, err := openResult(f.json, c.OutOrStdout())
	if err != nil {
		return err
	}
	var dir *report.Dir
	if f.dir != "" {
		if dir, err = report.Create(f.dir, false); err != nil {
			return err
		}
		defer dir.Abandon()
	}
	outcome, err := capacity.Run(c.Context(), config, preflight.Host(), func(line string) { fmt.Fprintln(c.ErrOrStderr(), line) })
	cli.Stderr(c).Flush(cli.FlushTime)
	if err != nil {
		return err
	}
	if dir != nil {
		err = dir.Finish(outcome.WriteJSON)
	}
	if err := errors.Join(err, file.write(outcome.WriteJSON, outcome.WriteText)); err != nil {
		return err
	}
	if !outcome.Good() {
		return cli.Exit(cli.ExitFailure, nil)
	}
	return nil
}
