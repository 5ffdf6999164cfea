package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// command is one subcommand. Each has a file of its own.
type command struct {
	name    string
	args    string // stands after the name in the help
	summary string // one line
	help    string // what the summary leaves out; may be empty
	// keys chooses the configuration keys that the help lists as flags. All of
	// them are accepted wherever it is set, so that one file fits every command.
	keys func(k key) bool
	// judges says that the command runs with a valid configuration only.
	judges bool
	// flags adds the flags that are no configuration keys; may be nil.
	flags func(fs *pflag.FlagSet)
	exec  func(ctx context.Context, std stdio, fs *pflag.FlagSet) error
}

// commands returns the dispatch table in the order of the help.
func commands() []command {
	return []command{
		serveCommand(),
		checkCommand(),
		doctorCommand(),
		publishCommand(),
		forgetCommand(),
		rebalanceCommand(),
		tokenCommand(),
		versionCommand(),
		helpCommand(),
	}
}

func findCommand(name string) (command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

func unknownCommand(name string) error {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return usageError{text: fmt.Sprintf("unknown command %q, want one of %s", name, strings.Join(names, ", "))}
}

func everyKey(key) bool { return true }

// publishKeys are the ones that say where Redis is and what is written to it.
func publishKeys(k key) bool {
	switch k.name {
	case "redis.url", "redis.prefix", "redis.embedded", "channels":
		return true
	}
	return strings.HasPrefix(k.name, "redis.tls.")
}

// flagSet returns the flags that the command takes.
func (c command) flagSet() *pflag.FlagSet {
	fs := pflag.NewFlagSet("gateway "+c.name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.BoolP("help", "h", false, "show this help")
	if c.flags != nil {
		c.flags(fs)
	}
	if c.keys != nil {
		fs.String("config", "", "read this YAML file first (or GATEWAY_CONFIG)")
		addKeyFlags(fs)
	}
	return fs
}

func (c command) run(ctx context.Context, args []string, std stdio) error {
	fs, err := c.parse(args)
	if err != nil {
		return err
	}
	if wanted, _ := fs.GetBool("help"); wanted {
		return c.writeHelp(std.out)
	}
	return c.exec(ctx, std, fs)
}

// parse reads the flags. Its error tells of all that are unknown and, for the
// commands that judge the whole configuration, of all that is wrong with the rest.
func (c command) parse(args []string) (*pflag.FlagSet, error) {
	var unknown []string
	for {
		fs := c.flagSet()
		err := fs.Parse(args)
		var wrong *pflag.NotExistError
		switch {
		case errors.As(err, &wrong) && wrong.GetSpecifiedShortnames() == "":
			unknown = append(unknown, flagErrorText(err))
			args = withoutFlag(args, wrong.GetSpecifiedName())
			continue
		case err != nil:
			unknown = append(unknown, flagErrorText(err))
		case len(unknown) == 0:
			return fs, nil
		case c.judges:
			if _, err := load(fs, settings.validate); err != nil {
				unknown = append(unknown, err.Error())
			}
		}
		return nil, usageError{command: c.name, text: strings.Join(unknown, "\n")}
	}
}

// noArgs refuses arguments where a command takes none.
func noArgs(c string, fs *pflag.FlagSet) error {
	if fs.NArg() == 0 {
		return nil
	}
	return usageError{command: c, text: "unexpected argument " + strings.Join(fs.Args(), " ")}
}
