package loadgen

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// publishScript is the wire's durable publish, a copy of configs/publish.lua.
//
//go:embed publish.lua
var publishScript string

// scriptHash is what Redis knows publishScript by once it has run it.
var scriptHash = redis.NewScript(publishScript).Hash()

// What a run leaves behind in the streams: little, and not for long.
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

// silence keeps go-redis from writing to the log: what fails is reported once,
// by the run.
var silence = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// newRedisPublisher connects and asks for a sign of life, so that a wrong URL
// is told before any client connects.
func newRedisPublisher(ctx context.Context, c Config) (*redisPublisher, error) {
	servers, err := serversOf(ctx, c)
	if err != nil {
		return nil, err
	}
	p := &redisPublisher{client: servers.client(c.AllowRemote), cluster: servers.cluster != nil, prefix: c.Prefix, durable: c.Durable}
	if err := p.client.Ping(ctx).Err(); err != nil {
		p.close()
		return nil, fmt.Errorf("redis %s: %w; %s", printableURL(c.Redis), err, servers.hint(err))
	}
	return p, nil
}

func (p *redisPublisher) publish(ctx context.Context, batch []publication) ([]fate, error) {
	replies, err := p.send(ctx, batch, redis.Pipeliner.EvalSha, scriptHash)
	if p.durable {
		err = p.teach(ctx, batch, replies, err)
	}
	fates := make([]fate, 0, publishBatch)
	for _, r := range replies {
		fates = append(fates, fateOf(r))
	}
	if err != nil {
		return fates, fmt.Errorf("redis: %w", err)
	}
	return fates, nil
}

// eval is how the script is named: by its hash or as it is.
type eval func(pipe redis.Pipeliner, ctx context.Context, script string, keys []string, args ...any) *redis.Cmd

// send publishes messages in one round trip to each server.
func (p *redisPublisher) send(ctx context.Context, batch []publication, call eval, script string) ([]redis.Cmder, error) {
	replies, err := p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, m := range batch {
			channel := p.prefix + m.channel
			switch {
			case p.durable && p.cluster:
				const once = 0
				call(pipe, ctx, script, []string{"{" + channel + "}:log"}, channel, m.payload, durableKeep, durableSeconds, once, "SPUBLISH")
			case p.durable:
				call(pipe, ctx, script, []string{"{" + channel + "}:log"}, channel, m.payload, durableKeep, durableSeconds)
			case p.cluster:
				// Gateways are subscribed at the owner of the channel's slot.
				pipe.SPublish(ctx, channel, m.payload)
			default:
				pipe.Publish(ctx, channel, m.payload)
			}
		}
		return nil
	})
	if err != nil && !slices.ContainsFunc(replies, func(r redis.Cmder) bool { return r.Err() != nil }) {
		// Redis refused the connection, which go-redis tells of none of them.
		for _, r := range replies {
			r.SetErr(err)
		}
	}
	return replies, err
}

// teach sends the script itself with those messages that a server refused
// because it does not know the hash, as one does at first and after it became
// the master. Their replies take the place of the refusals.
func (p *redisPublisher) teach(ctx context.Context, batch []publication, replies []redis.Cmder, err error) error {
	var again []publication
	var places []int
	for i, r := range replies {
		if redis.HasErrorPrefix(r.Err(), "NOSCRIPT") {
			again, places = append(again, batch[i]), append(places, i)
		}
	}
	if len(again) == 0 {
		return err
	}
	answers, err := p.send(ctx, again, redis.Pipeliner.Eval, publishScript)
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

func (p *redisPublisher) via() string { return "Redis" }

func (p *redisPublisher) close() error { return p.client.Close() }
