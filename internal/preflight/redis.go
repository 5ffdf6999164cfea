package preflight

import (
	"errors"
	"fmt"
	"strings"
)

const (
	redisHardSeconds = 10
	redisSoftSeconds = 3
	redisClients     = 1000
)

// RedisError is the refusal of Redis to answer a question of Env.Redis. Any
// other error means that no Redis is there.
type RedisError struct{ Err error }

func (e *RedisError) Error() string { return e.Err.Error() }
func (e *RedisError) Unwrap() error { return e.Err }

// askRedis has a parameter judged. A server that refuses CONFIG GET, as managed ones often do,
// is skipped; one that can't be reached carries no clients.
func (e Env) askRedis(parameter, needed string, judge func(answer string) (value string, ok bool, err error)) Finding {
	if e.Redis == nil {
		return Finding{Verdict: Skip, Needed: needed, Why: "no Redis to ask; name it with --redis.url"}
	}
	answer, err := e.Redis(parameter)
	if err == nil {
		value, ok, wrong := judge(answer)
		if wrong == nil {
			return found(value, needed, ok, nil)
		}
		err = &RedisError{fmt.Errorf("%s %q: %w", parameter, answer, wrong)}
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if refused := (*RedisError)(nil); errors.As(err, &refused) {
		return Finding{Verdict: Skip, Needed: needed, Why: "CONFIG GET: " + text}
	}
	return Finding{Verdict: Fix, Needed: needed, Why: "Redis does not answer: " + text,
		Fix: "start it, or correct redis.url: redis-cli -u URL ping"}
}

// outputLimits are the hard and the soft limit in bytes, and the seconds that
// the soft one is allowed for.
func outputLimits(t Target) (hard, soft, seconds int64) {
	return int64(t.PublishBytes) * redisHardSeconds, int64(t.PublishBytes) * redisSoftSeconds, 60
}

func checkRedisOutput(_ knob, e Env, t Target) Finding {
	hard, soft, seconds := outputLimits(t)
	enough := func(have, want int64) bool { return have == 0 || have >= want }
	return e.askRedis("client-output-buffer-limit", spaced(hard, soft, seconds), func(answer string) (string, bool, error) {
		have, err := pubsubLimit(answer)
		if err != nil {
			return "", false, err
		}
		return spaced(have...), enough(have[0], hard) && enough(have[1], soft), nil
	})
}

func raiseRedisOutput(_ Env, t Target) string {
	return fmt.Sprintf("redis-cli CONFIG SET client-output-buffer-limit %q", "pubsub "+spaced(outputLimits(t)))
}

// pubsubLimit finds hard, soft and seconds of the class pubsub in
// "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60".
func pubsubLimit(s string) ([]int64, error) {
	f := strings.Fields(s)
	for i := 0; i+3 < len(f); i += 4 {
		if f[i] == "pubsub" {
			return parseNumbers(f[i+1:i+4], 3)
		}
	}
	return nil, errors.New("no class pubsub")
}

func checkRedisClients(_ knob, e Env, _ Target) Finding {
	return e.askRedis("maxclients", decimal(redisClients), func(answer string) (string, bool, error) {
		have, err := parseNumber(answer)
		return decimal(have), have >= redisClients, err
	})
}
