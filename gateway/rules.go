package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/rules"
)

// ChannelRule configures the channels that it matches; the first matching rule counts. The zero
// value, and a channel without a rule: clients may not publish, durable messages are kept by the
// publisher's default.
type ChannelRule struct {
	// Match are patterns of channel names: * within a segment, ** at the end
	// for the rest.
	Match []string `koanf:"match"`
	// Publish allows clients to publish to these channels.
	Publish bool `koanf:"publish"`
	// Durable makes publishes through the gateway durable, unless the publisher sets durable
	// itself.
	Durable bool `koanf:"durable"`
	// MaxLen is the approximate number of durable messages kept per channel.
	MaxLen int `koanf:"max_len"`
	// TTL is how long messages are kept after the last one.
	TTL time.Duration `koanf:"ttl"`
	// Slow is the policy for clients that don't keep up.
	Slow SlowPolicy `koanf:"slow"`
}

// SlowPolicy is the treatment of a client that reads a channel's messages more slowly than they are
// published, once its backlog exceeds limits.queue_bytes.
type SlowPolicy string

const (
	// SlowDisconnect closes the connection with 4002. The client reconnects with its last position
	// and catches up at its own pace.
	SlowDisconnect SlowPolicy = "disconnect"
	// SlowDropOldest drops the oldest queued messages, and sends a gap notice in their place.
	SlowDropOldest SlowPolicy = "drop_oldest"
	// SlowLatest keeps only the newest message of the channel, for channels whose every message is
	// complete: a price, a position on a map.
	SlowLatest SlowPolicy = "latest"
)

// slowPolicies are the policies as the clients' layer knows them.
var slowPolicies = map[SlowPolicy]rules.Slow{
	"": rules.SlowDisconnect, SlowDisconnect: rules.SlowDisconnect, SlowDropOldest: rules.SlowDropOldest, SlowLatest: rules.SlowLatest,
}

func compileRules(list []ChannelRule) (rules.List, error) {
	var (
		out  rules.List
		errs []error
	)
	for i, r := range list {
		match, err := auth.ParsePatterns(r.Match, message.ValidChannel)
		if err != nil {
			errs = append(errs, fmt.Errorf("channels[%d].match: %w", i, err))
		}
		if len(r.Match) == 0 {
			errs = append(errs, fmt.Errorf("channels[%d].match: is empty, want at least one pattern", i))
		}
		errs = append(errs,
			oneOf(fmt.Sprintf("channels[%d].slow", i), string(cmp.Or(r.Slow, SlowDisconnect)), string(SlowDisconnect), string(SlowDropOldest), string(SlowLatest)),
			between(fmt.Sprintf("channels[%d].max_len", i), r.MaxLen, 0, 1<<24),
			between(fmt.Sprintf("channels[%d].ttl", i), r.TTL, 0, 10*365*24*time.Hour))
		if j := coveredBy(list[:i], r.Match); j >= 0 {
			errs = append(errs, fmt.Errorf("channels[%d].match: never counts, because channels[%d] is before it and matches the same channels", i, j))
		}
		out = append(out, rules.Rule{Match: match, Publish: r.Publish, Durable: r.Durable, MaxLen: r.MaxLen, TTL: r.TTL, Slow: slowPolicies[r.Slow]})
	}
	return out, errors.Join(errs...)
}

// coveredBy returns the index of a rule that alone matches everything the patterns match; -1 for
// none.
func coveredBy(before []ChannelRule, patterns []string) int {
	return slices.IndexFunc(before, func(r ChannelRule) bool {
		return len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool {
			return !slices.ContainsFunc(r.Match, func(q string) bool { return auth.Covers(q, p) })
		})
	})
}

// PublishOptions returns the options for publishing to a channel by its rule, for programs that
// publish beside a running gateway. durable overrides the rule, unless it's nil. The rules must be
// valid.
func (c Config) PublishOptions(channel string, durable *bool, idempotencyKey string) (fanout.PublishOptions, error) {
	compiled, err := compileRules(c.Channels)
	if err != nil {
		return fanout.PublishOptions{}, err
	}
	return compiled.Of(channel).Options(durable, idempotencyKey), nil
}

// ValidateChannels validates the rules alone, for programs that use nothing else of the
// configuration.
func (c Config) ValidateChannels() error { return validateRules(c.Channels) }
