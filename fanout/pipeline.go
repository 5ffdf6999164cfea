package fanout

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// wholeHook gives the error of a pipeline that has failed as a whole to each of its
// commands. go-redis does so only where the error is its own: when Redis refuses
// the new connection that a pipeline needs, for a password or because it is busy,
// Exec says so and no command does. A message would count as published, and a
// history as empty.
type wholeHook struct{}

func (wholeHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (wholeHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (wholeHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		if err == nil {
			return nil
		}
		for _, c := range commands {
			if c.Err() != nil {
				return err // each has its own
			}
		}
		for _, c := range commands {
			c.SetErr(err)
		}
		return err
	}
}
