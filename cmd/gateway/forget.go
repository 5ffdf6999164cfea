package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/fanout"
)

func forgetCommand() command {
	return command{
		name:    "forget",
		args:    "CHANNEL",
		summary: "forget the history of a channel",
		help: `
Removes what is kept of the channel's messages, in Redis and in the memory of
every gateway, and prints how many Redis had. Clients that are connected hear
nothing of it; those that come back from before are told of a gap.

Without redis.url it speaks to the embedded server of a gateway that runs on
this machine.`,
		keys: publishKeys,
		exec: runForget,
	}
}

func runForget(ctx context.Context, std stdio, fs *pflag.FlagSet) error {
	channel, s, err := loadForChannel(fs, 1, usageError{command: "forget", text: "forget takes a channel"})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	var had int64
	err = withBroker(s.Redis, func(b *fanout.Broker) (err error) {
		had, err = b.Forget(ctx, channel)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, had)
	return err
}
