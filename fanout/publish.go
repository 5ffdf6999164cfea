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

// PublishOptions says how a message is kept. The zero value publishes a plain message:
// whoever is subscribed now gets it, at most once.
type PublishOptions struct {
	// Durable writes the message to the channel's stream as well.
	Durable bool
	// User is who published it: clients are shown it beside the data. It has to be known
	// to be true, such as the subject of a token.
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
func (b *publisher) Publish(ctx context.Context, channel string, payload []byte, o PublishOptions) (id string, err error) {
	id, _, err = b.publish(ctx, channel, payload, o)
	return id, err
}

// PublishPlain is Publish for a plain message of a user, empty for nobody's, and returns
// how many gateways are subscribed to the channel.
func (b *publisher) PublishPlain(ctx context.Context, channel string, payload []byte, user string) (receivers int64, err error) {
	_, receivers, err = b.publish(ctx, channel, payload, PublishOptions{User: user})
	return receivers, err
}

func (b *publisher) publish(ctx context.Context, channel string, payload []byte, o PublishOptions) (id string, receivers int64, err error) {
	if err = checkPublication(channel, payload, o); err != nil {
		return "", 0, b.countPublish(channel, o, false, err)
	}
	id, receivers, err = b.tryPublish(ctx, channel, payload, o)
	if err = b.countPublish(channel, o, true, err); err != nil {
		return "", 0, err
	}
	return id, receivers, nil
}

// moveTime is how long a message waits for its slot while that moves from one server of a
// Cluster to another, which may take keys that are in one place only.
const moveTime = time.Second

// tryPublish sends a message that can be published. It returns the id of a durable one,
// the number of receivers of a plain one.
func (b *publisher) tryPublish(ctx context.Context, channel string, payload []byte, o PublishOptions) (id string, receivers int64, err error) {
	err = b.followSlot(ctx, func() error {
		if o.Durable {
			keys, args := b.scriptCall(channel, payload, o)
			id, err = publishScript.Run(ctx, b.servers.Client, keys, args...).Text()
		} else {
			receivers, err = b.servers.Publish(ctx, b.servers.Client, b.names.channel(channel), plain(payload, o)).Result()
		}
		return err
	})
	return id, receivers, err
}

// followSlot calls fn, which sends one command for a channel, and again while the
// channel's slot moves to another server.
func (b *publisher) followSlot(ctx context.Context, fn func() error) error {
	for begin := time.Now(); ; {
		err := fn()
		if err == nil {
			return nil
		}
		b.servers.Refresh(ctx)
		if !b.servers.Moved(err) || time.Since(begin) > moveTime {
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
func (b *publisher) publishCommand() string {
	if b.servers.Sharded() {
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
func (b *publisher) scriptCall(channel string, payload []byte, o PublishOptions) (keys []string, args []any) {
	if o.MaxLen <= 0 {
		o.MaxLen = 1000
	}
	if o.TTL <= 0 {
		o.TTL = 24 * time.Hour
	}
	if o.IdempotencyTTL <= 0 {
		o.IdempotencyTTL = time.Hour
	}
	full := b.names.channel(channel)
	keys = []string{b.names.stream(full)}
	if o.IdempotencyKey != "" {
		keys = append(keys, b.names.once(full, o.IdempotencyKey))
	}
	args = []any{full, payload, o.MaxLen, seconds(o.TTL), seconds(o.IdempotencyTTL)}
	return keys, append(args, b.publishCommand(), o.User)
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

// PublishBatch publishes messages in one round trip to each server, and returns the
// result of each. The messages of one channel are published in their order, except that
// those which a server refuses while their slot moves to another are published again
// behind the others. A message that fails does not keep the others back.
func (b *publisher) PublishBatch(ctx context.Context, batch []Publication) []Published {
	results := make([]Published, len(batch))
	commands := make([]redis.Cmder, len(batch))
	pipes := make(map[*redis.Client]*batchPipe)
	of := make(map[string]*redis.Client) // by channel: the same for all its messages, which keeps their order
	for i, p := range batch {
		if err := checkPublication(p.Channel, p.Payload, p.Options); err != nil {
			results[i].Err = err
			continue
		}
		server := of[p.Channel]
		if server == nil {
			var err error
			if server, err = b.servers.Of(ctx, b.names.channel(p.Channel)); err != nil {
				results[i].Err = err
				continue
			}
			of[p.Channel] = server
		}
		pipe := pipes[server]
		if pipe == nil {
			pipe = &batchPipe{Pipeliner: server.Pipeline()}
			pipes[server] = pipe
		}
		commands[i] = pipe.add(ctx, b, p)
	}
	var all sync.WaitGroup
	for _, pipe := range pipes {
		all.Go(func() { _, _ = pipe.Exec(ctx) }) // each command has its own error
	}
	all.Wait()
	for i, p := range batch {
		if commands[i] != nil {
			results[i] = b.published(ctx, p, commands[i])
		}
		sent := commands[i] != nil || checkPublication(p.Channel, p.Payload, p.Options) == nil // else its server isn't known
		if err := b.countPublish(p.Channel, p.Options, sent, results[i].Err); err != nil {
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

func (pipe *batchPipe) add(ctx context.Context, b *publisher, p Publication) redis.Cmder {
	if !p.Options.Durable {
		return b.servers.Publish(ctx, pipe, b.names.channel(p.Channel), plain(p.Payload, p.Options))
	}
	if !pipe.sent {
		// Not with the first call, which a server may refuse without a look at the
		// script.
		pipe.sent = true
		pipe.ScriptLoad(ctx, configs.Publish)
	}
	keys, args := b.scriptCall(p.Channel, p.Payload, p.Options)
	return publishScript.EvalSha(ctx, pipe, keys, args...)
}

// published reads the answer to one message of a batch.
func (b *publisher) published(ctx context.Context, p Publication, answer redis.Cmder) (r Published) {
	r.Err = answer.Err()
	switch durable, ok := answer.(*redis.Cmd); {
	case redis.HasErrorPrefix(r.Err, "NOSCRIPT"), b.servers.Moved(r.Err):
		// Somebody emptied the script cache meanwhile, or the slot has moved: nothing was
		// done.
		r.ID, _, r.Err = b.tryPublish(ctx, p.Channel, p.Payload, p.Options)
	case r.Err != nil:
		b.servers.Refresh(ctx)
	case ok:
		r.ID, r.Err = durable.Text()
	}
	return r
}

// Forget removes the history of a channel, in Redis and in the memory of every node, and
// returns how many messages its stream had. Those who are subscribed hear nothing of it.
// Who comes back with a position from before is told of a Gap of reason history, also
// where nothing came in between.
func (b *publisher) Forget(ctx context.Context, channel string) (had int64, err error) {
	if err := message.ValidChannel(channel); err != nil {
		return 0, err
	}
	full := b.names.channel(channel)
	err = b.followSlot(ctx, func() error {
		had, err = forgetScript.Run(ctx, b.servers.Client, []string{b.names.stream(full)}, full, b.publishCommand()).Int64()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget the history of %q: %w", channel, err)
	}
	return had, nil
}
