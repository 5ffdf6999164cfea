package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// notInFiles are flags that are about the command and not about the load.
var notInFiles = []string{"scenario", "help"}

// readFile takes flags from a scenario file: its keys are their names. Flags on
// the command line win. It reports everything that is wrong at once.
func (f *runFlags) readFile() error {
	if f.scenario == "" {
		return nil
	}
	text, err := os.ReadFile(f.scenario)
	if err != nil {
		return &plan.UsageError{Flag: "--scenario", Value: f.scenario, Want: err.Error()}
	}
	document, err := configtext.Parse(text)
	if err != nil {
		return &plan.UsageError{Flag: "--scenario", Value: f.scenario, Want: err.Error()}
	}
	given := make(map[string]bool) // on the command line
	f.set.Visit(func(x *pflag.Flag) { given[x.Name] = true })
	var all []error
	for _, name := range slices.Sorted(maps.Keys(document.Values)) {
		value := document.Values[name]
		if flag, _, inside := strings.Cut(name, "."); inside {
			name, value = flag, map[string]any{}
		}
		if err := f.setFromFile(name, value, given[name]); err != nil {
			all = append(all, &plan.UsageError{Flag: f.scenario, Value: name, Want: err.Error()})
		}
	}
	return errors.Join(all...)
}

func (f *runFlags) setFromFile(name string, value any, given bool) error {
	x := f.set.Lookup(name)
	if x == nil || slices.Contains(notInFiles, name) {
		return fmt.Errorf("no such key; \"loadgen mixed --help\" lists them, without the dashes")
	}
	texts, err := plainValues(value)
	if err != nil || given {
		return err
	}
	if slice, ok := x.Value.(pflag.SliceValue); ok {
		if err := slice.Replace(texts); err != nil {
			return err
		}
		x.Changed = true
		return nil
	}
	// pflag's own message names the flag, which is the key.
	if err := x.Value.Set(strings.Join(texts, ",")); err != nil {
		return fmt.Errorf("%v is not allowed: %w", value, err)
	}
	x.Changed = true
	return nil
}

// plainValues writes a value, or each of a list, as a flag would have it.
func plainValues(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var texts []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			texts = append(texts, configtext.Trim(v))
		case nil:
			return nil, errors.New("has no value")
		default:
			return nil, errors.New("want a plain value or a list of them")
		}
	}
	return texts, nil
}
