package main

import (
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

// The scenarios that come with the program are right.
func TestScenarioFiles(t *testing.T) {
	files, err := filepath.Glob("../../configs/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		f := newRunFlags(pflag.NewFlagSet("mixed", pflag.ContinueOnError), declareMixed)
		f.scenario = name
		slos, err := f.check()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if f.config.Connections == 1000 || f.config.Rate == 0 || len(slos) != 2 {
			t.Errorf("%s was not read: %+v", name, f.config)
		}
	}
}
