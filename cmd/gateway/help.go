package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/pushgate/pushgate/configs"
)

func helpCommand() command {
	return command{
		name:    "help",
		args:    "[COMMAND|config]",
		summary: "show this text, a command's help, or the manual of every configuration key",
		exec:    runHelp,
	}
}

func runHelp(_ context.Context, std stdio, fs *pflag.FlagSet) error {
	switch name := fs.Arg(0); {
	case fs.NArg() > 1:
		return usageError{text: "help takes one command"}
	case name == "":
		return writeOverview(std.out)
	case name == "config":
		_, err := std.out.Write(configs.Gateway)
		return err
	default:
		c, ok := findCommand(name)
		if !ok {
			return unknownCommand(name)
		}
		return c.writeHelp(std.out)
	}
}

const overviewFoot = `
Without a command the gateway serves. Every configuration key has three
spellings; the later one wins:
  in a file          limits: {head_bytes: 16KiB}       --config FILE or GATEWAY_CONFIG
  in the environment GATEWAY_LIMITS__HEAD_BYTES=16KiB  two underscores for the dot
  as a flag          --limits.head_bytes 16KiB

` + "`gateway COMMAND --help`" + ` lists the flags of a command, ` + "`gateway help config`" + ` is the
manual of every key.

Exit codes: 0 success, 1 failure (Redis can't be reached, serving failed, a second
signal), 2 the command line or the configuration is wrong.
`

func writeOverview(w io.Writer) error {
	fmt.Fprint(w, "gateway pushes messages from Redis to WebSocket, event stream and long-poll clients.\n\nUsage:\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		name := c.name
		if name == "serve" {
			name = "[serve]"
		}
		fmt.Fprintf(table, "  gateway %s\t%s\n", strings.TrimSpace(name+" "+c.args), c.summary)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, overviewFoot)
	return err
}

// writeHelp writes everything about one command.
func (c command) writeHelp(w io.Writer) error {
	usage := "gateway " + c.name
	if c.args != "" {
		usage += " " + c.args
	}
	fmt.Fprintf(w, "Usage: %s [flags]\n\n%s\n", usage, capitalized(c.summary)+".")
	if c.help != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.help))
	}
	if err := c.writePlainFlags(w); err != nil {
		return err
	}
	if c.keys == nil {
		return nil
	}
	if _, err := io.WriteString(w, "\nConfiguration keys, with their defaults:\n"); err != nil {
		return err
	}
	return writeKeys(w, c.keys)
}

// writePlainFlags lists the flags that are no configuration keys.
func (c command) writePlainFlags(w io.Writer) error {
	fmt.Fprint(w, "\nFlags:\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	c.flagSet().VisitAll(func(f *pflag.Flag) {
		if isKeyFlag(f) {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		switch f.Value.Type() {
		case "bool":
		case "string":
			name += " TEXT"
		default:
			name += " " + strings.ToUpper(f.Value.Type())
		}
		fmt.Fprintf(table, "  %s\t%s\n", name, f.Usage)
	})
	return table.Flush()
}

// writeKeys lists the chosen keys: flag and default, and below what it is.
func writeKeys(w io.Writer, chosen func(k key) bool) error {
	summaries, defaults := keySummaries(), defaultSettings()
	for _, k := range allKeys() {
		if !chosen(k) {
			continue
		}
		value := k.kind.format(k.get(&defaults))
		if value == "" {
			value = "none"
		}
		if _, err := fmt.Fprintf(w, "  --%s %s (%s)\n        %s\n", k.name, k.kind.name, value, summaries[k.name]); err != nil {
			return err
		}
	}
	return nil
}

// keySummaries returns the first line of each key's comment in the reference
// configuration.
func keySummaries() map[string]string {
	summaries := map[string]string{}
	eachYAMLKey(configs.Gateway, func(name string, key, _ *yaml.Node) {
		line, _, _ := strings.Cut(strings.TrimPrefix(key.HeadComment, "# "), "\n")
		summaries[name] = line
	})
	return summaries
}

func capitalized(s string) string {
	return strings.ToUpper(s[:1]) + s[1:]
}
