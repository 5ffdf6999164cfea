package main

import (
	"context"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// runFanout is "loadgen fanout".
func runFanout(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("fanout")
	c := &f.config
	f.pace()
	f.stages("connections", "connect-rate", "messages")
	f.redis()
	countVar(f.set, &c.Messages, "messages", "", "messages, over all channels in turn")
	rateVar(f.set, &c.Rate, "rate", "messages per second; 0: each when the one before has come to all")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.Fanout, args, out, errOut)
}
