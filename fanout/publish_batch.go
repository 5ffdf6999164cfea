package fanout

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Publication is one message of a batch.
type Publication struct {
	Channel string
	Payload []byte
	Options PublishOptions
}

// Published is what became of one message of a batch, as from Publish.
type Published struct {
	ID  string
	Err error
}

// PublishBatch publishes messages in one round trip and returns what became of
// each. The messages of one channel are published in their order; a message
// that fails does not keep the others back.
func (b *Broker) PublishBatch(ctx context.Context, batch []Publication) []Published {
	results := make([]Published, len(batch))
	commands := make([]redis.Cmder, len(batch))
	pipe := b.client.Pipeline()
	sent := false
	for i, p := range batch {
		if err := checkPublication(p.Channel, p.Payload, p.Options); err != nil {
			results[i].Err = err
			continue
		}
		if !p.Options.Durable {
			commands[i] = pipe.Publish(ctx, b.names.channel(p.Channel), p.Payload)
			continue
		}
		keys, args := b.scriptCall(p.Channel, p.Payload, p.Options)
		if sent {
			commands[i] = publishScript.EvalSha(ctx, pipe, keys, args...)
			continue
		}
		// The first call brings the script along, the others find it there.
		commands[i], sent = publishScript.Eval(ctx, pipe, keys, args...), true
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, p := range batch {
		if commands[i] != nil {
			results[i] = b.published(ctx, p, commands[i])
		}
		if results[i].Err != nil {
			b.counters.publishErrors.Add(1)
			results[i] = Published{Err: fmt.Errorf("publish to %q: %w", p.Channel, results[i].Err)}
			continue
		}
		b.counters.published.Add(1)
	}
	return results
}

// published reads the answer to one message of a batch.
func (b *Broker) published(ctx context.Context, p Publication, answer redis.Cmder) (r Published) {
	switch answer := answer.(type) {
	case *redis.Cmd:
		r.ID, r.Err = answer.Text()
		if r.Err != nil && redis.HasErrorPrefix(r.Err, "NOSCRIPT") {
			// Somebody emptied the script cache meanwhile: nothing was done.
			r.ID, r.Err = b.publish(ctx, p.Channel, p.Payload, p.Options)
		}
	default:
		r.Err = answer.Err()
	}
	return r
}
