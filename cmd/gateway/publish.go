package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
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
			fs.String("user", "", "who publishes it, which clients are shown")
		},
		exec: runPublish,
	}
}

// loadForChannel returns the channel, which is the first of n arguments, and the
// settings for a command that speaks to its Redis; wrong is the error for another
// number of arguments.
func loadForChannel(fs *pflag.FlagSet, n int, wrong usageError) (channel string, _ settings, err error) {
	if fs.NArg() != n {
		return "", settings{}, wrong
	}
	channel = fs.Arg(0)
	if err := message.ValidChannel(channel); err != nil {
		return "", settings{}, err
	}
	l, err := load(fs, settings.validatePublish)
	return channel, l.settings, err
}

func runPublish(ctx context.Context, std stdio, fs *pflag.FlagSet) error {
	channel, s, err := loadForChannel(fs, 2, usageError{command: "publish", text: "publish takes a channel and the data"})
	if err != nil {
		return err
	}
	options, err := publishOptions(fs, s, channel)
	if err != nil {
		return err
	}
	data, err := publishData(fs.Arg(1), std.in)
	if err != nil {
		return err
	}
	if err := fanout.CheckPayload(data, options); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	answer, err := publishOnce(ctx, s.Redis, channel, data, options)
	if err != nil {
		return err
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
	o.User, _ = fs.GetString("user")
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

// publishOnce returns a durable message's id, the number of receivers of a plain
// one.
func publishOnce(ctx context.Context, c fanout.Config, channel string, data []byte, o fanout.PublishOptions) (answer string, err error) {
	err = withBroker(c, func(b *fanout.Broker) (err error) {
		if o.Durable {
			answer, err = b.Publish(ctx, channel, data, o)
			return err
		}
		receivers, err := b.PublishPlain(ctx, channel, data, o.User)
		answer = strconv.FormatInt(receivers, 10)
		return err
	})
	return answer, err
}

// withBroker calls fn with a broker that is not run: single calls to Redis need
// none of its subscriptions.
func withBroker(c fanout.Config, fn func(*fanout.Broker) error) (err error) {
	embedded := c.URL == ""
	if embedded {
		c.URL = "redis://" + c.Embedded // that of another process, not one of our own
	}
	broker, err := fanout.NewBroker(c, slog.New(slog.DiscardHandler), "publish")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	if err = fn(broker); err != nil && embedded {
		err = fmt.Errorf("%w (a gateway's embedded server; --redis.url names another one)", err)
	}
	return err
}
