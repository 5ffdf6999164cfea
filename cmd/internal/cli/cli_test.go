package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestReport(t *testing.T) {
	root, sub := &cobra.Command{Use: "program"}, &cobra.Command{Use: "sub ARGUMENT"}
	root.AddCommand(sub)
	for name, test := range map[string]struct {
		err  error
		code int
		text string
	}{
		"success":           {nil, ExitOK, ""},
		"failure":           {errors.New("no luck"), ExitFailure, "program: no luck\n"},
		"a code":            {Exit(7, errors.New("no luck")), 7, "program: no luck\n"},
		"a code alone":      {Exit(99, nil), 99, ""},
		"wrong use":         {Usagef(sub, "%d mistakes", 2), ExitUsage, "program: 2 mistakes\n`program help sub` says more.\n"},
		"wrong use, no sub": {Usagef(root, "a mistake"), ExitUsage, "program: a mistake\n`program help` says more.\n"},
		"wrapped":           {fmt.Errorf("outside: %w", Usagef(sub, "in")), ExitUsage, "program: outside: in\n`program help sub` says more.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if code := report(&out, "program", test.err); code != test.code || out.String() != test.text {
				t.Errorf("code %d, %q, want %d, %q", code, out.String(), test.code, test.text)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	root, sub := &cobra.Command{Use: "program"}, &cobra.Command{Use: "send TO TEXT"}
	none := &cobra.Command{Use: "version"}
	root.AddCommand(sub, none)
	for name, test := range map[string]struct {
		command *cobra.Command
		args    []string
		want    string
	}{
		"as many":         {sub, []string{"a", "b"}, ""},
		"too few":         {sub, []string{"a"}, "send takes TO TEXT: 1 given, want 2"},
		"too many":        {sub, []string{"a", "b", "c"}, "send takes TO TEXT: 3 given, want 2"},
		"none":            {none, nil, ""},
		"unexpected":      {none, []string{"a"}, `unexpected argument "a"`},
		"near a command":  {root, []string{"sned"}, `unknown command "sned", did you mean "send"?`},
		"not a command":   {root, []string{"x"}, `unknown command "x", want one of send, version`},
		"nothing of root": {root, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := checkArgs(test.command, test.args); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
