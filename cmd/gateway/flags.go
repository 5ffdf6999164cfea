package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

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

// addKeyFlags adds --config and a flag for each configuration key, so that one
// file fits every command. The help lists those that matter to this one. A flag of
// the same name that is there already takes precedence.
func addKeyFlags(fs *pflag.FlagSet, listed func(k key) bool) {
	fs.String("config", "", "read this YAML file first (or GATEWAY_CONFIG)")
	defaults, summaries := defaultSettings(), keySummaries()
	for _, k := range allKeys() {
		if fs.Lookup(k.name) != nil {
			continue
		}
		value := k.kind.text(k.get(&defaults))
		if value == "" {
			value = "empty"
		}
		f := fs.VarPF(&rawFlag{kind: k.kind}, k.name, "", fmt.Sprintf("%s (default %s)", summaries[k.name], value))
		f.Hidden = !listed(k)
		if k.kind == boolKind {
			f.NoOptDefVal = "true"
		}
	}
}

// keySummaries returns the first line of each key's comment in the reference
// configuration.
var keySummaries = sync.OnceValue(func() map[string]string {
	summaries := map[string]string{}
	eachYAMLKey(configs.Gateway, func(name string, key, _ *yaml.Node) {
		line, _, _ := strings.Cut(strings.TrimPrefix(key.HeadComment, "# "), "\n")
		summaries[name] = strings.ReplaceAll(line, "`", "")
	})
	return summaries
})

// withConfig has a command run with a configuration that a method found valid.
func withConfig(c *cobra.Command, listed func(k key) bool, validate func(settings) error, run func(*cobra.Command, []string, loaded) error) *cobra.Command {
	addKeyFlags(c.Flags(), listed)
	c.RunE = func(c *cobra.Command, args []string) error {
		l, err := load(c.Flags(), validate)
		if err != nil {
			return cli.Exit(cli.ExitUsage, err)
		}
		return run(c, args, l)
	}
	// With unknown flags, everything that is wrong with the known ones comes too.
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		known := pflag.NewFlagSet("", pflag.ContinueOnError)
		addKeyFlags(known, everyKey)
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
