package main

import (
	"errors"
	"slices"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// stages declares --stages, which takes the place of other flags.
func (f *flags) stages(instead ...string) {
	f.set.StringVar(&f.config.Stages, "stages", "", "the clients over time, such as '0->10k@500/s, hold 60s, ->0@1k/s'; instead of --"+joinFlags(instead))
	f.replaced = instead
}

func joinFlags(names []string) (text string) {
	for i, n := range names {
		if i > 0 {
			text += ", --"
		}
		text += n
	}
	return text
}

// checkStages refuses flags that the stages take the place of, and sets the
// number of clients from them.
func (f *flags) checkStages() error {
	if f.config.Stages == "" {
		return nil
	}
	stages, err := loadgen.ParseStages(f.config.Stages)
	if err != nil {
		return &loadgen.UsageError{Flag: "--stages", Want: err.Error()}
	}
	var all []error
	for _, name := range f.replaced {
		if f.set.Changed(name) {
			all = append(all, &loadgen.UsageError{Flag: "--" + name, Want: "--stages says it already; leave out one of the two"})
		}
	}
	f.config.Connections = slices.MaxFunc(stages, func(a, b loadgen.Stage) int { return a.Target - b.Target }).Target
	return errors.Join(all...)
}
