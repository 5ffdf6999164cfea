package auth

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grant holds the rights of a token. It is immutable and shared by all connections
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

// everything is the grant of mode none, one value for all clients.
var (
	everyChannel = Patterns{&patternSet{list: []pattern{{text: "**"}}}}
	everything   = &Grant{Subscribe: everyChannel, Publish: everyChannel}
)

// maxCachedRights keeps lists that are long, and so hardly shared, out of the
// cache of rights, in bytes.
const maxCachedRights = 512

// rights are the compiled claims that many tokens have in common.
type rights struct {
	subscribe, publish Patterns
	// channels hold {sub} when template is set.
	channels []string
	template bool
}

func (r *rights) usesSubject() bool {
	return r.template || r.subscribe.usesSubject() || r.publish.usesSubject()
}

// parseRights compiles the three lists; its error names the claim.
func parseRights(c *claims, valid func(string) error) (*rights, error) {
	r := &rights{}
	patterns := func(claim int) (Patterns, error) {
		texts, err := c.rights(claim)
		if err != nil {
			return Patterns{}, err
		}
		p, err := parsePatterns(texts, valid)
		if err != nil {
			return p, claimError(claim, err)
		}
		return p, nil
	}
	var err error
	if r.subscribe, err = patterns(claimSubscribe); err != nil {
		return nil, err
	}
	if r.publish, err = patterns(claimPublish); err != nil {
		return nil, err
	}
	if r.channels, err = c.rights(claimChannels); err != nil {
		return nil, err
	}
	for _, name := range r.channels {
		r.template = r.template || strings.Contains(name, subject)
		if err := valid(fill(name, "s")); err != nil {
			return nil, claimError(claimChannels, fmt.Errorf("%q: %w", name, err))
		}
	}
	return r, nil
}

// channelsFor returns the channels with the subject put in, without names that
// it makes too long. Without {sub} it is the shared list.
func (r *rights) channelsFor(sub string, valid func(string) error) []string {
	if !r.template {
		return r.channels
	}
	own := make([]string, 0, len(r.channels))
	for _, name := range r.channels {
		if name = fill(name, sub); valid(name) == nil {
			own = append(own, name)
		}
	}
	return own
}
