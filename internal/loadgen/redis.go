package loadgen

import (
	"context"
	_ "embed"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// publication is one message on its way to Redis.
type publication struct {
	channel string // without the prefix
	payload []byte
}

// publisher hands messages to the gateways. It is used by one goroutine and
// may block.
type publisher interface {
	// publish sends a batch in its order and returns what became of each. The
	// error is the first of them.
	publish(ctx context.Context, batch []publication) ([]fate, error)
	close() error
}

// publishScript is the wire's durable publish, a copy of configs/publish.lua.
//
//go:embed publish.lua
var publishScript string

// What a run leaves behind in the streams: little, and not for long.
const (
	durableKeep    = 10000 // messages of a channel
	durableSeconds = 600
)

// redisPublisher publishes through Redis itself, as a backend would.
type redisPublisher struct {
	client  *redis.Client
	prefix  string
	durable bool
	script  string // the SHA1 under which Redis knows publishScript
}

// silence keeps go-redis from writing to the log: what fails is reported once,
// by the run.
var silence = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// newRedisPublisher connects and asks for a sign of life, so that a wrong URL
// is told before any client connects.
func newRedisPublisher(ctx context.Context, c Config) (*redisPublisher, error) {
	if err := c.checkRedis(ctx); err != nil {
		return nil, err
	}
	o, err := redis.ParseURL(c.Redis)
	if err != nil {
		return nil, &UsageError{Flag: "--redis", Value: printableURL(c.Redis), Want: err.Error()}
	}
	silence()
	// A repeated PUBLISH would be a duplicate of ours, not of the gateway's.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.PoolSize = 2
	p := &redisPublisher{client: redis.NewClient(o), prefix: c.Prefix, durable: c.Durable}
	if err = p.client.Ping(ctx).Err(); err == nil && c.Durable {
		p.script, err = p.client.ScriptLoad(ctx, publishScript).Result()
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("redis %s: %w; --redis must name the Redis that the gateway uses", printableURL(c.Redis), err)
	}
	return p, nil
}

func (p *redisPublisher) publish(ctx context.Context, batch []publication) ([]fate, error) {
	replies, err := p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, m := range batch {
			channel := p.prefix + m.channel
			if p.durable {
				pipe.EvalSha(ctx, p.script, []string{"{" + channel + "}:log"}, channel, m.payload, durableKeep, durableSeconds)
			} else {
				pipe.Publish(ctx, channel, m.payload)
			}
		}
		return nil
	})
	fates := make([]fate, 0, publishBatch)
	for _, r := range replies {
		fates = append(fates, fateOf(r))
	}
	if err != nil {
		return fates, fmt.Errorf("redis: %w", err)
	}
	return fates, nil
}

func (p *redisPublisher) close() error { return p.client.Close() }
