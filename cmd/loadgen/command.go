package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// newFlagSet declares the flags of a command that is not a run. args is how
// its arguments are shown.
func newFlagSet(name, args string) *pflag.FlagSet {
	s := pflag.NewFlagSet(strings.TrimSpace("loadgen "+name+" "+args), pflag.ContinueOnError)
	s.SortFlags = false
	s.SetOutput(io.Discard)
	s.Usage = func() {}
	s.BoolP("help", "h", false, "this text")
	return s
}

// parseSet reads flags and exactly n arguments. A false ok: the program ends
// with code.
func parseSet(s *pflag.FlagSet, args []string, n int, out, errOut io.Writer) (code int, ok bool) {
	err := s.Parse(args)
	if help, _ := s.GetBool("help"); help || errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(out, "usage: %s [flags]\n\n%s", s.Name(), s.FlagUsagesWrapped(100))
		return exitGood, false
	}
	if err == nil && s.NArg() != n {
		err = fmt.Errorf("%d arguments, want %d", s.NArg(), n)
	}
	if err != nil {
		return wrongUse(s.Name(), err, errOut), false
	}
	return 0, true
}
