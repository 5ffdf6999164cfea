package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// The scenarios that come with the program are right.
func TestScenarioFiles(t *testing.T) {
	files, err := filepath.Glob("../../configs/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		f := newFlags("mixed")
		f.pace()
		f.redis()
		f.rate()
		f.churn()
		f.slow()
		f.duration("")
		f.set.StringVar(&f.file, "scenario", "", "")
		var errOut strings.Builder
		if _, ok := f.parse([]string{"--scenario", name}, io.Discard, &errOut); !ok {
			t.Errorf("%s: %s", name, errOut.String())
		}
		if f.config.Connections == 1000 || f.config.Rate == 0 || len(f.output.limits) != 2 {
			t.Errorf("%s was not read: %+v", name, f.config)
		}
	}
}
