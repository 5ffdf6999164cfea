// Package cli is the frame of both programs' command lines: cobra's subcommands
// with one style of help, errors that say where to read on, and exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
	"github.com/pushgate/pushgate/internal/sink"
)

// Exit codes, documented by both programs' help.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2 // the command can't work as given, however often it is tried
)

// FlushTime is how long the program waits for standard error, at its end and
// before output that belongs below it.
const FlushTime = 500 * time.Millisecond

// exitError ends the program with a code.
type exitError struct {
	err  error // nil: the output has said it
	code int
	help string // the command whose help says more; may be empty
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Exit returns an error that ends the program with a code. With a nil err nothing
// is printed.
func Exit(code int, err error) error { return &exitError{err: err, code: code} }

// Usage returns the error for a command line that can't be understood.
func Usage(c *cobra.Command, err error) error {
	root, path, _ := strings.Cut(c.CommandPath(), " ")
	return &exitError{err: err, code: ExitUsage, help: strings.TrimSpace(root + " help " + path)}
}

// Usagef is Usage with a text.
func Usagef(c *cobra.Command, format string, args ...any) error {
	return Usage(c, fmt.Errorf(format, args...))
}

// Main runs a program with the process's arguments, and ends the process.
func Main(ctx context.Context, root *cobra.Command, args []string) {
	sink.CatchBrokenPipes()
	out, stderr := sink.NewOutput(os.Stdout), sink.NewWriter(os.Stderr)
	root.SetIn(os.Stdin)
	root.SetOut(out)
	root.SetErr(stderr)
	root.SetArgs(args)
	prepare(root)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.Err()
	}
	code := report(stderr, root.Name(), err)
	stderr.Flush(FlushTime)
	os.Exit(code)
}

// Stderr returns the writer that Main has put in front of standard error.
func Stderr(c *cobra.Command) *sink.Writer { return c.ErrOrStderr().(*sink.Writer) }

// report writes an error, if any, and returns its exit code.
func report(w io.Writer, program string, err error) int {
	if err == nil {
		return ExitOK
	}
	exit := &exitError{code: ExitFailure}
	if !errors.As(err, &exit) || exit.err != nil {
		fmt.Fprintf(w, "%s: %v\n", program, err)
	}
	if exit.help != "" {
		fmt.Fprintf(w, "`%s` says more.\n", exit.help)
	}
	return exit.code
}

// prepare completes the commands of a program: arguments, errors and help.
func prepare(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false
	root.SetUsageFunc(writeUsage)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return Usage(c, FlagError(c.Flags(), err)) })
	root.SetHelpCommand(&cobra.Command{
		Use:                   "help [COMMAND]",
		Short:                 "show this text or the help of a command",
		Args:                  cobra.ArbitraryArgs,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, _ := c.Root().Find(args)
			switch {
			case len(rest) == 0:
			case found == c.Root():
				return unknownCommand(found, rest[0])
			default:
				return Usagef(c, "unexpected argument %q", rest[0])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	})
	root.Args = checkArgs
	if root.RunE == nil {
		root.RunE = func(c *cobra.Command, _ []string) error {
			c.SetOut(c.ErrOrStderr())
			_ = c.Help()
			return Exit(ExitUsage, nil)
		}
	}
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
		c.Flags().SortFlags = false
		if c.Args == nil {
			c.Args = checkArgs
		}
	}
}

// checkArgs asks for as many arguments as the command's usage line names.
func checkArgs(c *cobra.Command, args []string) error {
	want := strings.Fields(c.Use)[1:]
	switch {
	case !c.HasParent() && len(args) > 0:
		return unknownCommand(c, args[0])
	case len(want) == 0 && len(args) > 0:
		return Usagef(c, "unexpected argument %q", args[0])
	case len(want) != len(args):
		return Usagef(c, "%s takes %s: %d given, want %d", c.Name(), strings.Join(want, " "), len(args), len(want))
	}
	return nil
}

func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	if near := configtext.Nearest(name, names); near != "" {
		return Usagef(root, "unknown command %q, did you mean %q?", name, near)
	}
	return Usagef(root, "unknown command %q, want one of %s", name, strings.Join(names, ", "))
}

// FlagError names, after an error of parsing the process's arguments, every flag
// among them that the set doesn't have, with the one that was probably meant.
func FlagError(flags *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var known []string
	flags.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	var all []error
	for _, word := range os.Args {
		name, isFlag := strings.CutPrefix(word, "--")
		if isFlag && name == "" {
			break // only arguments follow
		}
		name, _, _ = strings.Cut(name, "=")
		if !isFlag || flags.Lookup(name) != nil {
			continue
		}
		text := "unknown flag --" + name
		if near := configtext.Nearest(name, known); near != "" {
			text += ", did you mean --" + near + "?"
		}
		all = append(all, errors.New(text))
	}
	if len(all) == 0 {
		return err
	}
	return errors.Join(all...)
}

// helpWidth is where the help's lines are broken.
const helpWidth = 120

// writeUsage writes the help below a command's description.
func writeUsage(c *cobra.Command) error {
	w := c.OutOrStdout()
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "Usage:\n  %s COMMAND [flags]\n\nCommands:\n", c.Name())
		for _, sub := range c.Commands() {
			fmt.Fprintf(w, "  %-10s %s\n", sub.Name(), sub.Short)
		}
		_, err := fmt.Fprintf(w, "\n`%s COMMAND --help` lists the flags of a command.\n", c.Name())
		return err
	}
	fmt.Fprintf(w, "Usage:\n  %s [flags]\n", c.UseLine())
	_, err := fmt.Fprintf(w, "\nFlags:\n%s", c.Flags().FlagUsagesWrapped(helpWidth))
	return err
}
