package main

import (
	"context"
	"io"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
)

func checkCommand() command {
	return command{
		name:    "check",
		summary: "validate the configuration and print the merged result",
		help: `
Prints what serve would run with, as YAML, with passwords and tokens masked and
the origin of each value that is not a default. If anything is wrong, prints
all of it instead and exits with 2. What is allowed and yet unsafe, such as a
short secret for tokens, is warned of on standard error.`,
		keys: everyKey, judges: true,
		exec: runCheck,
	}
}

func runCheck(_ context.Context, std stdio, fs *pflag.FlagSet) error {
	if err := noArgs("check", fs); err != nil {
		return err
	}
	l, err := load(fs, settings.validate)
	if err != nil {
		return err
	}
	// It warns of what works and should not stay so.
	log, _ := newLogger(std.err, l.settings.Log)
	l.logForeign(log)
	if _, err := auth.New(l.settings.Auth, message.ValidChannel, log); err != nil {
		return err
	}
	text, err := settingsYAML(l)
	if err != nil {
		return err
	}
	_, err = io.WriteString(std.out, text)
	return err
}
