package main

import (
	"context"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// runIdle is "loadgen idle".
func runIdle(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := newFlags("idle")
	c := &f.config
	rateVar(f.set, &c.ConnectRate, "rate", "connects per second; 0: as many as -c lets")
	rateVar(f.set, &c.ConnectRate, "connect-rate", "the same, as other scenarios spell it")
	f.stages("connections", "rate", "connect-rate", "hold")
	f.set.DurationVar(&c.Hold, "hold", c.Hold, "how long to hold the connections")
	if code, ok := f.parse(args, out, errOut); !ok {
		return code
	}
	return f.execute(ctx, loadgen.Idle, args, out, errOut)
}
