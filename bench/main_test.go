package main

import (
	"errors"
	"flag"
	"strings"
	"testing"
)

// Every command is in the usage, knows its flags and refuses others.
func TestCommands(t *testing.T) {
	var usage strings.Builder
	if err := run(t.Context(), nil, &usage); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if !strings.Contains(usage.String(), "  "+c.name+" ") {
			t.Errorf("%s is not in the usage:\n%s", c.name, usage.String())
		}
		if err := run(t.Context(), []string{c.name, "-h"}, t.Output()); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s -h: %v", c.name, err)
		}
		if err := run(t.Context(), []string{c.name, "more"}, t.Output()); err == nil || !strings.Contains(err.Error(), `unexpected argument "more"`) {
			t.Errorf("%s more: %v", c.name, err)
		}
	}
	if err := run(t.Context(), []string{"weather"}, t.Output()); err == nil {
		t.Error("an unknown command ran")
	}
}
