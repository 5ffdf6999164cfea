package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/configs"
	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/fanout/message"
)

// The scripts are sent once to each server and then called by their hashes.
var (
	publishScript = redis.NewScript(configs.Publish)
	forgetScript  = redis.NewScript(configs.Forget)
)

// publisher is the part of a Broker that writes to Redis.
type publisher struct {
	// Immutable.

	servers *upstream.Servers // for commands; the links subscribe with clients of their own
	names   names
	log     *slog.Logger

	// Atomic.

	counters counters

	// Guarded by its own lock.

	failures publishFailures
}

// PublishOptions says how a message is kept. The zero value publishes a plain message: the
// present subscribers get it, at most once.
type PublishOptions struct {
	// Durable writes the message to the channel's stream as well.
	Durable bool
	// User is the publisher: clients get it beside the data. It has to be verified, such as the
	// subject of a token.
	User string
	// MaxLen is about how many messages the stream keeps; 0 means 1000.
	MaxLen int
	// TTL is how long the stream outlives its last message; 0 means a day.
	TTL time.Duration
	// IdempotencyKey makes a repeated durable publish return the first id and publish
	// nothing, for IdempotencyTTL; 0 means an hour.
	IdempotencyKey string
	IdempotencyTTL time.Duration
}

// ErrMarked is wrapped by the error for a plain message without a user whose payload
// begins with a mark: it would be taken for something else.
var ErrMarked = errors.New("the payload begins like a message of another kind: with the byte 0x1E, some text and 0x1E")

// Publish publishes a message from this process. A durable one returns its id; a plain
// one has an id only on the nodes that receive it. After an error the message may have
// been published: repeat durable ones with the same IdempotencyKey.
func (p *publisher) Publish(ctx context.Context, channel string, payload []byte, o PublishOptions) (id string, err error) {
	id, _, err = p.publish(ctx, channel, payload, o)
	return id, err
}

// PublishPlain is Publish for a plain message of a user, empty for none, and returns how many
// gateways are subscribed to the channel.
func (p *publisher) PublishPlain(ctx context.Context, channel string, payload []byte, user string) (receivers int64, err error) {
	_, receivers, err = p.publish(ctx, channel, payload, PublishOptions{User: user})
	return receivers, err
}

func (p *publisher) publish(ctx context.Context, channel string, payload []byte, o PublishOptions) (id string, receivers int64, err error) {
	if err = checkPublication(channel, payload, o); err != nil {
		return "", 0, p.countPublish(channel, o, false, err)
	}
	id, receivers, err = p.tryPublish(ctx, channel, payload, o)
	if err = p.countPublish(channel, o, true, err); err != nil {
		return "", 0, err
	}
	return id, receivers, nil
}

// moveTime is how long a message waits for its slot while that moves from one server of a
// Cluster to another, which may take keys that are in one place only.
const moveTime = time.Second

// tryPublish sends a message that can be published. It returns the id of a durable one,
// the number of receivers of a plain one.
func (p *publisher) tryPublish(ctx context.Context, channel string, payload []byte, o PublishOptions) (id string, receivers int64, err error) {
	err = p.followSlot(ctx, func() error {
		if o.Durable {
			keys, args := p.scriptCall(channel, payload, o)
			id, err = publishScript.Run(ctx, p.servers.Client, keys, args...).Text()
		} else {
			receivers, err = p.servers.Publish(ctx, p.servers.Client, p.names.channel(channel), plain(payload, o)).Result()
		}
		return err
	})
	return id, receivers, err
}

// followSlot calls fn, which sends one command for a channel, and again while the
// channel's slot moves to another server.
func (p *publisher) followSlot(ctx context.Context, fn func() error) error {
	for begin := time.Now(); ; {
		err := fn()
		if err == nil {
			return nil
		}
		p.servers.Refresh(ctx)
		if !p.servers.Moved(err) || time.Since(begin) > moveTime {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// publishCommand is the command by which scripts publish.
func (p *publisher) publishCommand() string {
	if p.servers.Sharded() {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

// checkPublication returns why a message can't be published at all.
func checkPublication(channel string, payload []byte, o PublishOptions) error {
	if err := message.ValidChannel(channel); err != nil {
		return err
	}
	return CheckPayload(payload, o)
}

// CheckPayload returns ErrMarked for a payload that can't be published so.
func CheckPayload(payload []byte, o PublishOptions) error {
	if o.Durable || o.User != "" || len(payload) == 0 || payload[0] != mark {
		return nil
	}
	if m, ok := parseWire(string(payload)); !ok || len(m.payload) < len(payload) {
		return ErrMarked
	}
	return nil
}

// plain returns the text that is published for a plain message.
func plain(payload []byte, o PublishOptions) []byte {
	if o.User == "" {
		return payload
	}
	return withUser(payload, o.User)
}

// scriptCall returns the keys and arguments of publishScript for a durable message.
func (p *publisher) scriptCall(channel string, payload []byte, o PublishOptions) (keys []string, args []any) {
	if o.MaxLen <= 0 {
		o.MaxLen = 1000
	}
	if o.TTL <= 0 {
		o.TTL = 24 * time.Hour
	}
	if o.IdempotencyTTL <= 0 {
		o.IdempotencyTTL = time.Hour
	}
	full := p.names.channel(channel)
	keys = []string{p.names.stream(full)}
	if o.IdempotencyKey != "" {
		keys = append(keys, p.names.once(full, o.IdempotencyKey))
	}
	args = []any{full, payload, o.MaxLen, seconds(o.TTL), seconds(o.IdempotencyTTL)}
	return keys, append(args, p.publishCommand(), o.User)
}

// seconds rounds up: a time that is not zero must not become none.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// Publication is one message of a batch.
type Publication struct {
	Channel string
	Payload []byte
	Options PublishOptions
}

// Published is the result for one message of a batch, as of Publish.
type Published struct {
	ID  string
	Err error
}

// PublishBatch publishes messages in one round trip to each server, and returns the result of
// each. The messages of one channel are published in their order, except that the ones that a
// server refuses while their slot moves to another are published again behind the others. A
// message that fails does not keep the others back.
func (p *publisher) PublishBatch(ctx context.Context, batch []Publication) []Published {
	results := make([]Published, len(batch))
	commands := make([]redis.Cmder, len(batch))
	pipes := make(map[*redis.Client]*batchPipe)
	of := make(map[string]*redis.Client) // by channel: the same for all its messages, which keeps their order
	for i, m := range batch {
		if err := checkPublication(m.Channel, m.Payload, m.Options); err != nil {
			results[i].Err = err
			continue
		}
		server := of[m.Channel]
		if server == nil {
			var err error
			if server, err = p.servers.Of(ctx, p.names.channel(m.Channel)); err != nil {
				results[i].Err = err
				continue
			}
			of[m.Channel] = server
		}
		pipe := pipes[server]
		if pipe == nil {
			pipe = &batchPipe{Pipeliner: server.Pipeline()}
			pipes[server] = pipe
		}
		commands[i] = pipe.add(ctx, p, m)
	}
	var all sync.WaitGroup
	for _, pipe := range pipes {
		all.Go(func() { _, _ = pipe.Exec(ctx) }) // each command has its own error
	}
	all.Wait()
	for i, m := range batch {
		if commands[i] != nil {
			results[i] = p.published(ctx, m, commands[i])
		}
		sent := commands[i] != nil || checkPublication(m.Channel, m.Payload, m.Options) == nil // else its server isn't known
		if err := p.countPublish(m.Channel, m.Options, sent, results[i].Err); err != nil {
			results[i] = Published{Err: err}
		}
	}
	return results
}

// batchPipe is a batch's commands for one server.
type batchPipe struct {
	redis.Pipeliner
	sent bool // the script
}

func (pipe *batchPipe) add(ctx context.Context, p *publisher, m Publication) redis.Cmder {
	if !m.Options.Durable {
		return p.servers.Publish(ctx, pipe, p.names.channel(m.Channel), plain(m.Payload, m.Options))
	}
	if !pipe.sent {
		// Not with the first call, which a server may refuse without a look at the
		// script.
		pipe.sent = true
		pipe.ScriptLoad(ctx, configs.Publish)
	}
	keys, args := p.scriptCall(m.Channel, m.Payload, m.Options)
	return publishScript.EvalSha(ctx, pipe, keys, args...)
}

// published reads the answer to one message of a batch.
func (p *publisher) published(ctx context.Context, m Publication, answer redis.Cmder) (r Published) {
	r.Err = answer.Err()
	switch durable, ok := answer.(*redis.Cmd); {
	case redis.HasErrorPrefix(r.Err, "NOSCRIPT"), p.servers.Moved(r.Err):
		// The script cache was emptied meanwhile, or the slot has moved: nothing was done.
		r.ID, _, r.Err = p.tryPublish(ctx, m.Channel, m.Payload, m.Options)
	case r.Err != nil:
		p.servers.Refresh(ctx)
	case ok:
		r.ID, r.Err = durable.Text()
	}
	return r
}

// Forget removes the history of a channel, in Redis and in the memory of every node, and
// returns how many messages its stream had. Subscribers notice nothing. A replay from an
// earlier position has a Gap of reason history, also where nothing was published in between.
func (p *publisher) Forget(ctx context.Context, channel string) (had int64, err error) {
	if err := message.ValidChannel(channel); err != nil {
		return 0, err
	}
	full := p.names.channel(channel)
	err = p.followSlot(ctx, func() error {
		had, err = forgetScript.Run(ctx, p.servers.Client, []string{p.names.stream(full)}, full, p.publishCommand()).Int64()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget the history of %q: %w", channel, err)
	}
	return had, nil
}
