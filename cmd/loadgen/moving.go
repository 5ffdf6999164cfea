package main

import (
	"context"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// Defaults that only make sense for one scenario.
const (
	stormShare = 0.5
	slowShare  = 0.1
	slowRate   = 100
	churnRate  = 100
)

// runStorm is "loadgen storm".
func runStorm(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("storm")
	c := &f.config
	c.Share = stormShare
	f.pace()
	f.redis()
	f.rate()
	f.set.Float64Var(&c.Share, "share", c.Share, "the part of the clients that is cut, 0 to 1")
	f.set.StringVar(&c.ServerCmd, "server-cmd", c.ServerCmd, "a command that starts the gateway at --url, VAR=value before it if wanted; it is started first, and restarting it is the storm, which hits all clients")
	f.set.StringVar(&c.ServerSignal, "server-signal", c.ServerSignal, "how it is stopped: TERM, INT or KILL")
	f.set.DurationVar(&c.Before, "before", c.Before, "steady time before the storm")
	f.set.DurationVar(&c.After, "after", c.After, "steady time once all are back")
	f.set.DurationVar(&c.GiveUp, "give-up", c.GiveUp, "how long to wait until all are back")
	f.set.DurationVar(&c.Backoff, "backoff", c.Backoff, "longest wait of a client before it comes back, at random; doubled with each failure")
	f.set.DurationVar(&c.BackoffMost, "backoff-max", c.BackoffMost, "and never longer than this")
	f.set.BoolVar(&c.Resume, "resume", c.Resume, "clients come back with the position of their last message")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.RunStorm, args, out, errOut)
}

// runChurn is "loadgen churn".
func runChurn(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("churn")
	f.config.Share, f.config.ChurnRate = 1, churnRate
	f.pace()
	f.redis()
	f.rate()
	f.churn()
	f.duration("how long to churn")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.RunChurn, args, out, errOut)
}

// runSlow is "loadgen slow".
func runSlow(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("slow")
	f.config.SlowShare, f.config.Rate = slowShare, slowRate
	f.pace()
	f.redis()
	f.rate()
	f.slow()
	f.duration("how long to publish, first with all reading and then with the slow ones")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.RunSlow, args, out, errOut)
}

// runMixed is "loadgen mixed".
func runMixed(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("mixed")
	f.pace()
	f.redis()
	f.rate()
	f.churn()
	f.slow()
	f.duration("how long to load")
	f.set.StringVar(&f.file, "scenario", "", "a YAML file with these flags as keys, such as configs/scenarios/chat.yaml; flags on the command line win")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.RunMixed, args, out, errOut)
}

// pace declares the flag for the pace of connects.
func (f *flags) pace() {
	c := &f.config
	rateVar(f.set, &c.ConnectRate, "connect-rate", "connects per second; 0: as many as -c lets")
}

// redis declares where and what is published.
func (f *flags) redis() {
	c := &f.config
	f.set.StringVar(&c.Redis, "redis", c.Redis, "the gateway's redis.url: a server, redis+cluster:// or redis+sentinel://")
	f.set.StringVar(&c.Prefix, "prefix", c.Prefix, "the gateway's redis.prefix")
	declarePublish(f.set, c)
	f.set.BoolVar(&c.Durable, "durable", c.Durable, "publish durable messages")
	sizeVar(f.set, &c.Size, "size", "bytes of a payload")
}

// rate declares the rate of messages for as long as a scenario lasts.
func (f *flags) rate() {
	c := &f.config
	rateVar(f.set, &c.Rate, "rate", "messages per second, over all channels in turn; 0: none, and no Redis is needed")
}

func (f *flags) churn() {
	c := &f.config
	f.set.Float64Var(&c.Share, "share", c.Share, "the part of the clients that is closed and opened again, in turn; messages are accounted for with the others")
	rateVar(f.set, &c.ChurnRate, "churn-rate", "clients closed and opened again per second")
}

func (f *flags) slow() {
	c := &f.config
	f.set.Float64Var(&c.SlowShare, "slow-share", c.SlowShare, "the part of the clients that reads too little")
	sizeVar(f.set, &c.SlowRead, "slow-read", "bytes per second that each of them reads; 0: none")
}

func (f *flags) duration(about string) {
	f.set.DurationVar(&f.config.Duration, "duration", f.config.Duration, about)
}
