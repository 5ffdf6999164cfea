package fanout

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/message"
)

//go:embed forget.lua
var forgetText string

var forgetScript = redis.NewScript(forgetText)

// Forget removes the history of a channel, in Redis and in the memory of every
// node, and returns how many messages its stream had. Those who are subscribed
// hear nothing of it. Who comes back with a position from before is told of a Gap
// of reason history, also where nothing came in between.
func (b *Broker) Forget(ctx context.Context, channel string) (had int64, err error) {
	if err := message.ValidChannel(channel); err != nil {
		return 0, err
	}
	full := b.names.channel(channel)
	err = b.whereItIs(ctx, func() error {
		had, err = forgetScript.Run(ctx, b.servers.client, []string{b.names.stream(full)}, full, b.publishCommand()).Int64()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget the history of %q: %w", channel, err)
	}
	return had, nil
}

// forgetPast drops what is kept of a topic. upTo is the entry that stands in its
// stream for what is forgotten, zero where there is no stream. The caller holds mu.
func (l *link) forgetPast(t *topic, upTo message.StreamID) {
	l.rings.drop(t)
	// What was lost before is forgotten too: where there is a stream, it begins
	// with upTo and tells everybody from before of a gap.
	t.flags &^= topicLostBefore | topicLostAfter | topicWhole
	switch {
	case upTo.IsZero():
		t.flags |= topicLostAfter
	case t.last.Less(upTo):
		t.last = upTo
	}
	t.at = l.moment()
}
