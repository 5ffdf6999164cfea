// Command gateway pushes messages from Redis to the clients that hold a
// WebSocket, an event stream or a long poll open.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/configs"
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
)

func main() {
	root := &cobra.Command{
		Use:   "gateway",
		Short: "pushes messages from Redis to WebSocket, event stream and long-poll clients",
		Long: `gateway pushes messages from Redis to WebSocket, event stream and long-poll clients.

Without a command it serves. Every configuration key has three spellings; the
later one wins:
  in a file          limits: {head_bytes: 16KiB}       --config FILE or GATEWAY_CONFIG
  in the environment GATEWAY_LIMITS__HEAD_BYTES=16KiB  two underscores for the dot
  as a flag          --limits.head_bytes 16KiB

Exit codes: 0 success, 1 failure (Redis can't be reached, serving failed, a second
signal), 2 the command line or the configuration is wrong.`,
	}
	// A heap profile has a sample for each 4 MiB allocated, in place of 512 KiB: the runtime's table of
	// them took 0.9 MB of a gateway with 10,000 clients over TLS, for the garbage of handshakes. Another
	// rate comes from the operator, by GODEBUG=memprofilerate.
	if runtime.MemProfileRate == 512<<10 {
		runtime.MemProfileRate = 4 << 20
	}
	fanout.DiscardRedisLog()
	keys := keyFlags()
	root.AddCommand(serveCommand(keys), checkCommand(keys), doctorCommand(keys), publishCommand(keys), forgetCommand(keys),
		rebalanceCommand(keys), tokenCommand(keys), versionCommand(), manual())
	cli.Main(context.Background(), root, subcommand(os.Args[1:]))
}

// subcommand makes the command explicit: serve where there is none.
func subcommand(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"serve"}
	case args[0] == "--version":
		return []string{"version"}
	case args[0] != "-h" && args[0] != "--help" && strings.HasPrefix(args[0], "-"):
		return append([]string{"serve"}, args...)
	}
	return args
}

// manual is a topic of the help.
func manual() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "the manual of every configuration key"}
	c.SetHelpFunc(func(c *cobra.Command, _ []string) { _, _ = c.OutOrStdout().Write(configs.Gateway) })
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version, the commit and the Go release",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "gateway", versionText())
			return err
		},
	}
}

// versionText describes the build.
func versionText() string {
	b := gateway.ReadBuild()
	commit := ""
	if b.Commit != "" {
		commit = " commit " + b.Commit
	}
	return fmt.Sprintf("%s%s %s %s/%s", b.Version, commit, b.Go, runtime.GOOS, runtime.GOARCH)
}
