package auth

import (
	"slices"
	"time"
)

// Grant is what a token allows. It is immutable and shared by all connections
// whose tokens say the same, so it is held by pointer. It takes 80 bytes and its
// subject's, 96 with one of 12 letters; patterns and channels are shared by all
// grants that spell them alike, except channels with {sub} in them. A list that
// is spelled out for each subject costs more: 320 bytes with two patterns, one
// more pattern and one channel (BenchmarkGrantMemory).
type Grant struct {
	// Subject is the sub claim; empty for anonymous clients.
	Subject string
	// Expires is when the connection must end, which is exp and the leeway;
	// zero is never.
	Expires time.Time
	// Subscribe and Publish hold the patterns; ask MaySubscribe and MayPublish,
	// which know the subject.
	Subscribe, Publish Patterns
	// Channels are valid names to subscribe to at once. Shared: read only.
	Channels []string
}

// MaySubscribe reports whether the client may subscribe to the channel: it
// matches one of the subscribe patterns or is one of Channels.
func (g *Grant) MaySubscribe(channel string) bool {
	return g.Subscribe.match(channel, g.Subject) || slices.Contains(g.Channels, channel)
}

// MayPublish reports whether the client may publish to the channel.
func (g *Grant) MayPublish(channel string) bool {
	return g.Publish.match(channel, g.Subject)
}

// Expired reports whether the grant has ended at the given time.
func (g *Grant) Expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}

// everything is the grant of mode none, one value for all clients.
var (
	everyChannel = Patterns{&patternSet{list: []pattern{{text: "**"}}}}
	everything   = &Grant{Subscribe: everyChannel, Publish: everyChannel}
)
