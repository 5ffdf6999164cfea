// Package rules finds the rule of a channel.
package rules

import (
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/auth"
)

// Slow is the treatment of a client that reads a channel's messages more slowly than they are
// published.
type Slow uint8

const (
	SlowDisconnect Slow = iota
	SlowDropOldest
	SlowLatest
)

// Rule is how the channels that it matches are treated.
type Rule struct {
	Match   auth.Patterns
	Publish bool // clients may publish
	Durable bool
	MaxLen  int
	TTL     time.Duration
	Slow    Slow
}

// List are rules in order: the first that matches a channel counts.
type List []Rule

// none applies to channels that match no rule.
var none Rule

// Of returns the rule of a channel.
func (l List) Of(channel string) *Rule {
	for i := range l {
		if l[i].Match.Match(channel) {
			return &l[i]
		}
	}
	return &none
}

// Options returns the options for publishing to the rule's channels; durable overrides the rule's
// unless it's nil.
func (r *Rule) Options(durable *bool, key string) fanout.PublishOptions {
	o := fanout.PublishOptions{Durable: r.Durable, MaxLen: r.MaxLen, TTL: r.TTL, IdempotencyKey: key}
	if durable != nil {
		o.Durable = *durable
	}
	return o
}
