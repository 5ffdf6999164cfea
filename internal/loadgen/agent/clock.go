package agent

import (
	"context"
	"fmt"

	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// clockRounds is how many readings are taken; the quickest counts.
const clockRounds = 9

// clockReading is how far another process's clock is ahead of this one's, in
// ns, with half of the round trip as the doubt about it.
type clockReading struct{ offset, uncertainty int64 }

// correction is to be taken off the other clock: nothing if the round trip may account for the
// offset.
func (c clockReading) correction() int64 {
	if max(c.offset, -c.offset) <= c.uncertainty {
		return 0
	}
	return c.offset
}

// readClock compares a clock with this process's, as NTP does: the other was
// read in the middle of the round trip, give or take half of it.
func readClock(now func() int64, remote func() (int64, error)) (c clockReading, err error) {
	c.uncertainty = 1<<63 - 1
	for range clockRounds {
		sent := now()
		there, err := remote()
		if err != nil {
			return c, err
		}
		if half := (now() - sent) / 2; half < c.uncertainty {
			c = clockReading{offset: there - sent - half, uncertainty: half}
		}
	}
	return c, nil
}

// greet waits for a process to be there, and compares the clocks.
func (a *agent) greet(ctx context.Context, now func() int64) error {
	reply, err := a.submit(client.Command{Do: client.DoClock})
	if err != nil {
		return err
	}
	first, err := a.await(ctx, reply, agentGreeting)
	if err != nil {
		return err
	}
	if first.Schema != result.Schema {
		return fmt.Errorf("agent %s: it is of another version: %q and not %q", a.name, first.Schema, result.Schema)
	}
	a.cpus = first.CPUs
	a.clock, err = a.compareClock(ctx, now)
	return err
}

func (a *agent) compareClock(ctx context.Context, now func() int64) (clockReading, error) {
	return readClock(now, func() (int64, error) {
		x, err := a.do(ctx, client.Command{Do: client.DoClock})
		return x.Now, err
	})
}

// Results lists the processes, with their clocks compared again.
func (f *Fleet) Results(ctx context.Context) (all []result.Agent) {
	for _, a := range f.agents {
		if c, err := a.compareClock(ctx, f.clock.Now); err == nil {
			// The clock runs with its correction now.
			a.result.Drift = float64(c.offset+a.clock.correction()-a.clock.offset) / 1e6
		}
		all = append(all, a.result)
	}
	return all
}
