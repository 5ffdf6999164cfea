package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"
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

// versionText describes the build by what the Go toolchain recorded in it.
func versionText() string {
	version, commit, state := "(devel)", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = " commit " + s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.modified" && s.Value == "true":
				state = " (modified)"
			}
		}
	}
	return fmt.Sprintf("%s%s%s %s %s/%s", version, commit, state, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
