package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/pflag"

	"pushgate/fanout"
)

// publishTimeout bounds the whole call, connecting included.
const publishTimeout = 5 * time.Second

func publishCommand() command {
	return command{
		name:    "publish",
		args:    "CHANNEL DATA",
		summary: "publish one message",
		help: `
DATA is the message; - takes it from standard input, unchanged. Where it begins
with a dash, put -- before the channel: gateway publish -- news -5. Prints the
number of gateways that received it, which is 0 where nobody is subscribed. A
durable message is also kept in the channel's history, and its id is printed.
The rules for channels say how long it's kept, and which channels are durable
without the flag; --durable=false publishes a plain message there.

Without redis.url it speaks to the embedded server of a gateway that runs on
this machine.`,
		keys: publishKeys,
		flags: func(fs *pflag.FlagSet) {
			fs.Bool("durable", false, "keep the message in the channel's history")
			fs.String("idempotency-key", "", "with --durable: a repeated call with the same key publishes once")
		},
		exec: runPublish,
	}
}

func runPublish(ctx context.Context, std stdio, fs *pflag.FlagSet) error {
	if fs.NArg() != 2 {
		return usageError{command: "publish", text: "publish takes a channel and the data"}
	}
	channel := fs.Arg(0)
	if err := fanout.ValidChannel(channel); err != nil {
		return err
	}
	l, err := load(fs, settings.validatePublish)
	if err != nil {
		return err
	}
	options, err := publishOptions(fs, l.settings, channel)
	if err != nil {
		return err
	}
	data, err := publishData(fs.Arg(1), std.in)
	if err != nil {
		return err
	}
	if !options.Durable {
		if err := fanout.CheckPlain(data); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	var answer string
	if options.Durable {
		answer, err = publishDurable(ctx, l.settings.Redis, channel, data, options)
	} else {
		answer, err = publishPlain(ctx, l.settings.Redis, channel, data)
	}
	if err != nil {
		return publishFailure(l.settings.Redis, err)
	}
	_, err = fmt.Fprintln(std.out, answer)
	return err
}

// publishOptions returns what the flags and the channel's rule say.
func publishOptions(fs *pflag.FlagSet, s settings, channel string) (fanout.PublishOptions, error) {
	var durable *bool
	if fs.Changed("durable") {
		given, _ := fs.GetBool("durable")
		durable = &given
	}
	once, _ := fs.GetString("idempotency-key")
	o, err := s.PublishOptions(channel, durable, once)
	if err == nil && once != "" && !o.Durable {
		err = usageError{command: "publish", text: "--idempotency-key needs --durable"}
	}
	return o, err
}

func publishData(arg string, in io.Reader) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read the data from standard input: %w", err)
	}
	return data, nil
}

// publishPlain returns the number of receivers.
func publishPlain(ctx context.Context, c fanout.Config, channel string, data []byte) (string, error) {
	client, err := redisClient(c)
	if err != nil {
		return "", err
	}
	defer client.Close()
	receivers, err := client.Publish(ctx, c.Prefix+channel, data).Result()
	return fmt.Sprint(receivers), err
}

// publishDurable returns the message's id. The broker is not run: publishing
// needs none of its subscriptions.
func publishDurable(ctx context.Context, c fanout.Config, channel string, data []byte, o fanout.PublishOptions) (id string, err error) {
	if c.URL == "" {
		c.URL = "redis://" + c.Embedded // that of another process, not one of our own
	}
	broker, err := fanout.NewBroker(c, slog.New(slog.DiscardHandler), "publish")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	return broker.Publish(ctx, channel, data, o)
}

// redisClient returns a client for one call: no log beside the call's error,
// and no retries, which could publish twice.
func redisClient(c fanout.Config) (*redis.Client, error) {
	logging.Disable()
	options := &redis.Options{Addr: c.Embedded}
	if c.URL != "" {
		var err error
		if options, err = redis.ParseURL(c.URL); err != nil {
			return nil, fmt.Errorf("redis.url: %w", err)
		}
	}
	options.MaxRetries = -1
	options.DialerRetries = 1
	return redis.NewClient(options), nil
}

func publishFailure(c fanout.Config, err error) error {
	if c.URL == "" {
		return fmt.Errorf("publish to the gateway's embedded server at %s (--redis.url names another one): %w", c.Embedded, err)
	}
	return fmt.Errorf("publish: %w", err)
}
