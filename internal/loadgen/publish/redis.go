package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/configs"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// scriptHash names configs.Publish, the durable publish, in Redis once it has run it.
var scriptHash = redis.NewScript(configs.Publish).Hash()

// The streams' limits: a run leaves little behind, and not for long.
const (
	durableKeep    = 10000 // messages of a channel
	durableSeconds = 600
)

// redisPublisher publishes through Redis itself, as a backend would.
type redisPublisher struct {
	client  redis.UniversalClient
	cluster bool
	prefix  string
	durable bool
}

// silence keeps go-redis from writing to the log: failures are reported once,
// by the run.
var silence = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// newRedisPublisher connects and asks for a sign of life, so that a wrong URL is reported
// before any client connects.
func newRedisPublisher(ctx context.Context, c plan.Config) (*redisPublisher, error) {
	servers, err := serversOf(ctx, c)
	if err != nil {
		return nil, err
	}
	p := &redisPublisher{client: servers.client(c.AllowRemote), cluster: servers.cluster != nil, prefix: c.Prefix, durable: c.Durable}
	if err := p.client.Ping(ctx).Err(); err != nil {
		p.Close()
		return nil, fmt.Errorf("redis %s: %w; %s", plan.PrintableURL(c.Redis), err, servers.hint(err))
	}
	return p, nil
}

func (p *redisPublisher) Publish(ctx context.Context, batch []Message) ([]Result, error) {
	replies, err := p.send(ctx, batch, redis.Pipeliner.EvalSha, scriptHash)
	if p.durable {
		err = p.sendScript(ctx, batch, replies, err)
	}
	results := make([]Result, 0, PublishBatch)
	for _, r := range replies {
		results = append(results, resultOf(r))
	}
	if err != nil {
		return results, fmt.Errorf("redis: %w", err)
	}
	return results, nil
}

// eval is how the script is named: by its hash or as it is.
type eval func(pipe redis.Pipeliner, ctx context.Context, script string, keys []string, args ...any) *redis.Cmd

// send publishes messages in one round trip to each server.
func (p *redisPublisher) send(ctx context.Context, batch []Message, call eval, script string) ([]redis.Cmder, error) {
	replies, err := p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, m := range batch {
			channel := p.prefix + m.Channel
			switch {
			case p.durable && p.cluster:
				const once = 0
				call(pipe, ctx, script, []string{"{" + channel + "}:log"}, channel, m.Payload, durableKeep, durableSeconds, once, "SPUBLISH")
			case p.durable:
				call(pipe, ctx, script, []string{"{" + channel + "}:log"}, channel, m.Payload, durableKeep, durableSeconds)
			case p.cluster:
				// Gateways are subscribed at the owner of the channel's slot.
				pipe.SPublish(ctx, channel, m.Payload)
			default:
				pipe.Publish(ctx, channel, m.Payload)
			}
		}
		return nil
	})
	if err != nil && !slices.ContainsFunc(replies, func(r redis.Cmder) bool { return r.Err() != nil }) {
		// Redis refused the connection, which go-redis reports for none of them.
		for _, r := range replies {
			r.SetErr(err)
		}
	}
	return replies, err
}

// sendScript sends the script itself with those messages that a server refused
// because it does not know the hash, as one does at first and after it became
// the master. Their replies take the place of the refusals.
func (p *redisPublisher) sendScript(ctx context.Context, batch []Message, replies []redis.Cmder, err error) error {
	var again []Message
	var places []int
	for i, r := range replies {
		if redis.HasErrorPrefix(r.Err(), "NOSCRIPT") {
			again, places = append(again, batch[i]), append(places, i)
		}
	}
	if len(again) == 0 {
		return err
	}
	answers, err := p.send(ctx, again, redis.Pipeliner.Eval, configs.Publish)
	for k, i := range places {
		if k < len(answers) {
			replies[i] = answers[k]
		}
	}
	for _, r := range replies {
		if err == nil {
			err = r.Err()
		}
	}
	return err
}

func (p *redisPublisher) Via() string  { return "Redis" }
func (p *redisPublisher) Close() error { return p.client.Close() }

// resultOf reads the reply to one command of a batch.
func resultOf(reply redis.Cmder) Result {
	err := reply.Err()
	n, plain := reply.(*redis.IntCmd)
	script, durable := reply.(*redis.Cmd)
	refusal := redis.Error(nil)
	switch {
	case err == nil && plain && n.Val() == 0:
		return Unheard
	case err == nil, plain && n.Val() > 0, durable && script.Val() != nil:
		return Taken // a reply that was read keeps its value when the next one can't be
	case errors.As(err, &refusal):
		return Refused
	case errors.Is(err, errDial), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrClosed):
		return Unsent
	}
	return Unknown
}
