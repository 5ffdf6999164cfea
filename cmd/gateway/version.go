package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/gateway"
)

func versionCommand() command {
	return command{
		name:    "version",
		summary: "print the version, the commit and the Go release",
		exec: func(_ context.Context, std stdio, fs *pflag.FlagSet) error {
			if err := noArgs("version", fs); err != nil {
				return err
			}
			_, err := fmt.Fprintln(std.out, "gateway", versionText())
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
