package preflight

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	redisHardSeconds = 10
	redisSoftSeconds = 3
	redisClients     = 1000

	noRedis = "no Redis to ask; name it with --redis.url"
)

// RedisError is an answer of Redis to a question of Env.Redis that it would not
// answer. Any other error means that no Redis is there.
type RedisError struct{ Err error }

func (e *RedisError) Error() string { return e.Err.Error() }
func (e *RedisError) Unwrap() error { return e.Err }

func checkRedisOutput(k knob, e Env, t Target) Finding {
	hard, soft := int64(t.PublishBytes)*redisHardSeconds, int64(t.PublishBytes)*redisSoftSeconds
	wanted := spaced(hard, soft, 60)
	if e.Redis == nil {
		return Finding{Verdict: Skip, Needed: wanted, Why: noRedis}
	}
	s, err := e.Redis("client-output-buffer-limit")
	if err != nil {
		return redisSkipped(wanted, err)
	}
	have, err := pubsubLimit(s)
	if err != nil {
		return redisSkipped(wanted, err)
	}
	enough := func(have, want int64) bool { return have == 0 || have >= want }
	f := Finding{
		Value:   spaced(have[:]...),
		Needed:  wanted,
		Verdict: verdict(enough(have[0], hard) && enough(have[1], soft)),
	}
	if f.Verdict == Fix {
		f.Fix = fmt.Sprintf("redis-cli CONFIG SET client-output-buffer-limit %q", "pubsub "+wanted)
	}
	return f
}

// pubsubLimit finds hard, soft and seconds of the class pubsub in
// "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60".
func pubsubLimit(s string) (limit [3]int64, err error) {
	f := strings.Fields(s)
	for i := 0; i+3 < len(f); i += 4 {
		if f[i] != "pubsub" {
			continue
		}
		for j := range limit {
			if limit[j], err = parseNumber(f[i+1+j]); err != nil {
				return limit, fmt.Errorf("client-output-buffer-limit %q: %w", s, err)
			}
		}
		return limit, nil
	}
	return limit, fmt.Errorf("client-output-buffer-limit %q: no class pubsub", s)
}

func checkRedisClients(k knob, e Env, t Target) Finding {
	needed := strconv.Itoa(redisClients)
	if e.Redis == nil {
		return Finding{Verdict: Skip, Needed: needed, Why: noRedis}
	}
	s, err := e.Redis("maxclients")
	if err != nil {
		return redisSkipped(needed, err)
	}
	have, err := parseNumber(s)
	if err != nil {
		return redisSkipped(needed, fmt.Errorf("maxclients: %w", err))
	}
	f := Finding{Value: decimal(have), Needed: needed, Verdict: verdict(have >= redisClients)}
	if f.Verdict == Fix {
		f.Fix = "redis-cli CONFIG SET maxclients 10000"
	}
	return f
}

// redisSkipped is the finding for a server that refuses CONFIG GET, as managed
// ones often do. One that can't be reached carries nobody.
func redisSkipped(needed string, err error) Finding {
	f := Finding{Verdict: Skip, Needed: needed, Why: "CONFIG GET: " + oneLine(err.Error())}
	if refused := (*RedisError)(nil); !errors.As(err, &refused) {
		f.Verdict = Fix
		f.Why = "Redis does not answer: " + oneLine(err.Error())
		f.Fix = "start it, or correct redis.url: redis-cli -u URL ping"
	}
	return f
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
