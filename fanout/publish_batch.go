package fanout

import (
	"context"
	"sync"

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

// PublishBatch publishes messages in one round trip to each server, and returns
// what became of each. The messages of one channel are published in their
// order, except that those which a server refuses while their slot moves to
// another are published again behind the others. A message that fails does not
// keep the others back.
func (b *Broker) PublishBatch(ctx context.Context, batch []Publication) []Published {
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
			if server, err = b.servers.of(ctx, b.names.channel(p.Channel)); err != nil {
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

func (pipe *batchPipe) add(ctx context.Context, b *Broker, p Publication) redis.Cmder {
	if !p.Options.Durable {
		return b.servers.publish(ctx, pipe, b.names.channel(p.Channel), plain(p.Payload, p.Options))
	}
	if !pipe.sent {
		// Not with the first call, which a server may refuse without a look at
		// the script.
		pipe.sent = true
		pipe.ScriptLoad(ctx, scriptText)
	}
	keys, args := b.scriptCall(p.Channel, p.Payload, p.Options)
	return publishScript.EvalSha(ctx, pipe, keys, args...)
}

// published reads the answer to one message of a batch.
func (b *Broker) published(ctx context.Context, p Publication, answer redis.Cmder) (r Published) {
	r.Err = answer.Err()
	switch durable, ok := answer.(*redis.Cmd); {
	case redis.HasErrorPrefix(r.Err, "NOSCRIPT"), b.servers.movedOn(r.Err):
		// Somebody emptied the script cache meanwhile, or the slot has moved:
		// nothing was done.
		r.ID, _, r.Err = b.tryPublish(ctx, p.Channel, p.Payload, p.Options)
	case r.Err != nil:
		b.servers.lookAgain(ctx)
	case ok:
		r.ID, r.Err = durable.Text()
	}
	return r
}
