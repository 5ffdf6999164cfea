package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/cmd/internal/configtext"
	"github.com/pushgate/pushgate/configs"
)

// rawFlag is a configuration key on the command line. It keeps the text: the
// values of all sources are read in one place, and all errors come at once.
type rawFlag struct {
	texts []string // one for each use of a list, otherwise the last
	kind  *kind
}

func (f *rawFlag) String() string { return strings.Join(f.texts, ",") }
func (f *rawFlag) Type() string   { return f.kind.name }

// Set takes a value. Another use of a list continues it.
func (f *rawFlag) Set(s string) error {
	if f.kind != listKind {
		f.texts = nil
	}
	f.texts = append(f.texts, s)
	return nil
}

// value returns the text, or the items of a list.
func (f *rawFlag) value() any {
	if f.kind != listKind {
		return f.String()
	}
	items := []any{}
	for _, text := range f.texts {
		list, err := configtext.List(text)
		if err != nil {
			return text // refused later, as it stands
		}
		items = append(items, list...)
	}
	return items
}

// keyFlags returns --config and a flag for each configuration key, so that one
// file fits every command.
func keyFlags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.String("config", "", "read this YAML file first (or GATEWAY_CONFIG)")
	for _, k := range allKeys() {
		f := fs.VarPF(&rawFlag{kind: k.kind}, k.name, "", "")
		if k.kind == boolKind {
			f.NoOptDefVal = "true"
		}
	}
	return fs
}

// describe completes the flags of the keys for the help, which lists those that
// matter to a command. Each has the first line of the key's comment in the reference
// configuration.
func describe(fs *pflag.FlagSet, listed func(k key) bool) {
	defaults := defaultSettings()
	manual, _ := configtext.Parse(configs.Gateway) // our own
	for _, k := range allKeys() {
		f := fs.Lookup(k.name)
		if _, isKey := f.Value.(*rawFlag); isKey {
			summary, _, _ := strings.Cut(strings.TrimPrefix(manual.Comments[k.name], "# "), "\n")
			f.Usage = fmt.Sprintf("%s (default %s)", strings.ReplaceAll(summary, "`", ""), cmp.Or(k.kind.text(k.get(&defaults)), "empty"))
			f.Hidden = !listed(k)
		}
	}
}

// withConfig has a command run with a configuration that a method found valid. The
// keyFlags are shared by all commands, of which one runs. A flag of the command
// takes precedence over a key of the same name.
func withConfig(keys *pflag.FlagSet, c *cobra.Command, listed func(k key) bool,
	validate func(settings) error, run func(*cobra.Command, []string, loaded) error) *cobra.Command {
	c.Flags().SortFlags = false
	c.Flags().AddFlagSet(keys)
	c.RunE = func(c *cobra.Command, args []string) error {
		l, err := load(c.Flags(), validate)
		if err != nil {
			return cli.Exit(cli.ExitUsage, err)
		}
		return run(c, args, l)
	}
	c.SetHelpFunc(func(c *cobra.Command, args []string) {
		describe(c.Flags(), listed)
		c.Parent().HelpFunc()(c, args)
	})
	// With unknown flags, everything that is wrong with the known ones comes too.
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		known := keyFlags()
		known.ParseErrorsAllowlist.UnknownFlags = true
		if wrong := (*pflag.NotExistError)(nil); errors.As(err, &wrong) && known.Parse(os.Args[1:]) == nil {
			_, problems := load(known, validate)
			err = errors.Join(cli.FlagError(c.Flags(), err), problems)
		}
		return cli.Usage(c, err)
	})
	return c
}

func everyKey(key) bool { return true }

// keysNamed chooses the keys that are named, and all keys of a section that is
// named with its dot.
func keysNamed(names ...string) func(key) bool {
	return func(k key) bool {
		for _, name := range names {
			if k.name == name || strings.HasSuffix(name, ".") && strings.HasPrefix(k.name, name) {
				return true
			}
		}
		return false
	}
}

// publishKeys are the keys of the place of Redis, and of the data in it.
var publishKeys = keysNamed("redis.url", "redis.prefix", "redis.embedded", "channels", "redis.tls.")
