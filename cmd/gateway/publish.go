package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
)

// publishTimeout bounds the whole call, connecting included.
const publishTimeout = 5 * time.Second

func publishCommand(keys *pflag.FlagSet) *cobra.Command {
	var durable bool
	var once, user string
	c := &cobra.Command{
		Use:   "publish CHANNEL DATA",
		Short: "publish one message",
		Long: `Publish one message.

DATA is the message; - takes it from standard input, unchanged. Where it begins
with a dash, put -- before the channel: gateway publish -- news -5. Prints the
number of gateways that received it, which is 0 where nobody is subscribed. A
durable message is also kept in the channel's history, and its id is printed.
The rules for channels say how long it's kept, and which channels are durable
without the flag; --durable=false publishes a plain message there.

Without redis.url it speaks to the embedded server of a gateway that runs on
this machine.`,
	}
	c.Flags().BoolVar(&durable, "durable", false, "keep the message in the channel's history")
	c.Flags().StringVar(&once, "idempotency-key", "", "with --durable: a repeated call with the same key publishes once")
	c.Flags().StringVar(&user, "user", "", "the publisher, as clients are shown it")
	return withConfig(keys, c, publishKeys, settings.validatePublish, func(c *cobra.Command, args []string, l loaded) error {
		given := &durable
		if !c.Flags().Changed("durable") {
			given = nil
		}
		o, err := l.settings.PublishOptions(args[0], given, once)
		if err != nil {
			return err
		}
		if o.User = user; once != "" && !o.Durable {
			return cli.Usagef(c, "--idempotency-key needs --durable")
		}
		return runPublish(c, l.settings.Redis, args[0], args[1], o)
	})
}

// runPublish prints a durable message's id, or the number of receivers of a plain
// one.
func runPublish(c *cobra.Command, cfg fanout.Config, channel, text string, o fanout.PublishOptions) error {
	data := []byte(text)
	if text == "-" {
		var err error
		if data, err = io.ReadAll(c.InOrStdin()); err != nil {
			return fmt.Errorf("read the data from standard input: %w", err)
		}
	}
	if err := fanout.CheckPayload(data, o); err != nil {
		return err
	}
	return printReply(c, cfg, channel, func(ctx context.Context, b *fanout.Broker) (any, error) {
		if o.Durable {
			return b.Publish(ctx, channel, data, o)
		}
		return b.PublishPlain(ctx, channel, data, o.User)
	})
}

func forgetCommand(keys *pflag.FlagSet) *cobra.Command {
	return withConfig(keys, &cobra.Command{
		Use:   "forget CHANNEL",
		Short: "forget the history of a channel",
		Long: `Forget the history of a channel.

Removes the messages of the channel that Redis and the memory of every gateway
hold, and prints how many Redis had. Clients that are connected hear nothing of
it; those that come back from before are told of a gap.

Without redis.url it speaks to the embedded server of a gateway that runs on
this machine.`,
	}, publishKeys, settings.validatePublish, func(c *cobra.Command, args []string, l loaded) error {
		return printReply(c, l.settings.Redis, args[0], func(ctx context.Context, b *fanout.Broker) (any, error) {
			return b.Forget(ctx, args[0])
		})
	})
}

// printReply prints the reply to one call of a broker that is not run: it needs
// none of its subscriptions.
func printReply(c *cobra.Command, cfg fanout.Config, channel string, call func(context.Context, *fanout.Broker) (any, error)) (err error) {
	if err := message.ValidChannel(channel); err != nil {
		return err
	}
	embedded := cfg.URL == ""
	if embedded {
		cfg.URL = "redis://" + cfg.Embedded // the server of another process, not one of our own
	}
	broker, err := fanout.NewBroker(cfg, slog.New(slog.DiscardHandler), "publish")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	ctx, cancel := context.WithTimeout(c.Context(), publishTimeout)
	defer cancel()
	reply, err := call(ctx, broker)
	if err != nil && embedded {
		return fmt.Errorf("%w (a gateway's embedded server; --redis.url names another one)", err)
	}
	if err == nil {
		_, err = fmt.Fprintln(c.OutOrStdout(), reply)
	}
	return err
}
