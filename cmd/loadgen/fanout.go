package main

import (
	"context"
	"io"

	"pushgate/internal/loadgen"
)

// runFanout is "loadgen fanout".
func runFanout(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("fanout")
	c := &f.config
	f.set.Float64Var(&c.ConnectRate, "connect-rate", c.ConnectRate, "connects per second; 0: as many as -c lets")
	f.set.StringVar(&c.Redis, "redis", c.Redis, "the gateway's Redis")
	f.set.StringVar(&c.Prefix, "prefix", c.Prefix, "the gateway's redis.prefix")
	f.set.BoolVar(&c.Durable, "durable", c.Durable, "publish durable messages")
	f.set.IntVar(&c.Messages, "messages", c.Messages, "messages, over all channels in turn")
	f.set.Float64Var(&c.Rate, "rate", c.Rate, "messages per second; 0: each when the one before has come to all")
	f.set.IntVar(&c.Size, "size", c.Size, "bytes of a payload")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.Fanout, args, out, errOut)
}
