package main

import (
	"context"
	"fmt"
	"io"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/preflight"
)

// runDoctor is "loadgen doctor".
func runDoctor(ctx context.Context, args []string, out, errOut io.Writer) int {
	s := newFlagSet("doctor", "-n N")
	c := loadgen.DefaultConfig()
	countVar(s, &c.Connections, "connections", "n", "clients")
	s.StringVar(&c.Sources, "src", c.Sources, "source addresses, as for a run")
	s.StringVar(&c.URL, "url", c.URL, "the target; on loopback, source addresses cost nothing")
	asJSON := s.Bool("json", false, "print the report as JSON")
	if code, ok := parseSet(s, args, 0, out, errOut); !ok {
		return code
	}
	c.AllowRemote = true // nothing is sent there
	r, err := loadgen.Doctor(ctx, c, preflight.Host())
	if err != nil {
		return wrongUse("loadgen doctor", err, errOut)
	}
	write := r.WriteText
	if *asJSON {
		write = r.WriteJSON
	}
	if err := write(out); err != nil || !r.OK() {
		return exitFailed
	}
	return exitGood
}

// examine looks at the host before a run and says what keeps it from fitting.
// What the run can't do without, it refuses itself.
func examine(ctx context.Context, f *flags, errOut io.Writer) []preflight.Finding {
	r, err := loadgen.Doctor(ctx, f.config, preflight.Host())
	if err != nil {
		return nil // the run says so
	}
	for _, x := range r.Fixes() {
		fmt.Fprintf(errOut, "%s: this host: %s is %s, needed %s: %s; %s\n", f.set.Name(), x.Name, x.Value, x.Needed, x.Why, x.Fix)
	}
	return r.Findings
}
