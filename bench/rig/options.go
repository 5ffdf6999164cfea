package rig

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// Flags are a subcommand's. Nothing but flags is taken, and a number has bounds.
type Flags struct {
	*flag.FlagSet
	checks []func() error
}

// NewFlags returns an empty set.
func NewFlags(name string) *Flags {
	return &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
}

// Int adds a flag from least to most.
func (f *Flags) Int(p *int, name string, value, least, most int, usage string) {
	f.IntVar(p, name, value, usage)
	f.checks = append(f.checks, func() error { return Between(name, *p, least, most) })
}

// Duration adds a flag from least to most.
func (f *Flags) Duration(p *time.Duration, name string, value, least, most time.Duration, usage string) {
	f.DurationVar(p, name, value, usage)
	f.checks = append(f.checks, func() error { return Between(name, *p, least, most) })
}

// Parse reads a command line and reports everything that is wrong.
func (f *Flags) Parse(args []string) error {
	if err := f.FlagSet.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var wrong error
	for _, check := range f.checks {
		wrong = errors.Join(wrong, check())
	}
	return wrong
}

// Between refuses a flag's value that is out of range.
func Between[T cmp.Ordered](name string, value, least, most T) error {
	if value < least || value > most {
		return fmt.Errorf("-%s: %v is not allowed, want %v to %v", name, value, least, most)
	}
	return nil
}

// MostClients raises this process's limit of open files and returns how many
// clients it leaves room for.
func MostClients() (int, error) {
	const others = 100 // files beside the clients
	soft, _, err := reactor.RaiseDescriptorLimit()
	return int(min(soft, 1<<24)) - others, err
}
