package catchup

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/bench/rig"
)

// upstream is the Redis and the messages that were published to it.
type upstream struct {
	*rig.Redis
	ids       []string // of all messages, by their numbers
	published int
}

// publish adds n durable messages to the stream and, with tell, publishes them
// in the form of the publish script.
func (u *upstream) publish(ctx context.Context, n, size int, tell bool) error {
	_, err := u.Client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for range n {
			data := fmt.Sprintf(`{"n":%d}`, u.published)
			data += strings.Repeat(" ", max(0, size-len(data))) // white space behind JSON is JSON
			id := fmt.Sprintf("%d-%d", time.Now().UnixMilli(), u.published)
			pipe.Do(ctx, "XADD", "{"+rig.RedisPrefix+channel+"}:log", id, "data", data)
			if tell {
				pipe.Publish(ctx, rig.RedisPrefix+channel, "\x1e"+id+"\x1e"+data)
			}
			u.ids = append(u.ids, id)
			u.published++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// reads returns how often a part of a stream was asked for.
func (u *upstream) reads(ctx context.Context) (total int, err error) {
	text, err := u.Client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		for _, command := range []string{"xrange", "xrevrange", "xread"} {
			if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
				var n int
				if _, err := fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &n); err != nil {
					return 0, err
				}
				total += n
			}
		}
	}
	return total, nil
}
