package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/capacity"
	"github.com/pushgate/pushgate/internal/loadgen/report"
	"github.com/pushgate/pushgate/internal/preflight"
)

// runCapacity is "loadgen capacity".
func runCapacity(ctx context.Context, args []string, out, errOut io.Writer) int {
	const name = "loadgen capacity"
	c := capacity.DefaultConfig()
	s := newFlagSet("capacity", "--target N")
	countVar(s, &c.Target, "target", "", "the connections to write the bill for")
	s.StringVar(&c.Run.ServerCmd, "server-cmd", c.Run.ServerCmd, "start the gateway with this command, VAR=value before it if wanted, afresh for each step; without it, one must be running")
	s.IntVar(&c.Run.PID, "pid", c.Run.PID, "the process of a gateway that is running (default: found by the port)")
	declareTarget(s, &c.Run)
	declareForeign(s, &c.Run)
	declarePublish(s, &c.Run)
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
	limits := s.StringArray("slo", nil, "what each step must meet; may be repeated (default: failed==0, lost==0, missing==0, delivery.p99<1s)")
	toJSON := s.String("json", "", "write the outcome as JSON to this file; - for stdout, instead of the text")
	dir := s.String("out", "", "write run.json and report.html to this new directory")
	if code, ok := parseSet(s, args, 0, out, errOut); !ok {
		return code
	}
	var err error
	c.SLOs, err = loadgen.ParseSLOs(*limits)
	c.Command = append([]string{name}, loadgen.MaskCommand(args)...)
	if err = errors.Join(err, c.Validate()); err != nil {
		return wrongUse(name, err, errOut)
	}
	fail := func(err error) int {
		if usage := (*loadgen.UsageError)(nil); errors.As(err, &usage) {
			return wrongUse(name, err, errOut)
		}
		fmt.Fprintf(errOut, "%s: %v\n", name, err)
		return exitFailed
	}
	file, err := openReport(*toJSON, out)
	if err != nil {
		return fail(err)
	}
	defer file.Close()
	var d *report.Dir
	if *dir != "" {
		if d, err = report.CreateCapacity(*dir); err != nil {
			return fail(err)
		}
		defer d.Abandon()
	}
	o, err := capacity.Run(ctx, c, preflight.Host(), func(line string) { fmt.Fprintln(errOut, line) })
	flush(errOut)
	if err != nil {
		return fail(err)
	}
	if d != nil {
		err = d.FinishCapacity(o)
	}
	if *toJSON != "" {
		err = errors.Join(err, file.whole(o.WriteJSON(file)))
	}
	if *toJSON != "-" {
		err = errors.Join(err, o.WriteText(out))
	}
	if err != nil {
		return fail(err)
	}
	if !o.Good() {
		return exitFailed
	}
	return exitGood
}
