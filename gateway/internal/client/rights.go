package client

import (
	"fmt"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/rules"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// grants holds the grants of a loop's clients, one entry for each distinct grant, however many
// connections share it.
type grants struct {
	entries slab.Table[grantEntry]
	byGrant map[*auth.Grant]uint32
}

type grantEntry struct {
	grant *auth.Grant
	users int
}

// hold returns the index of g for one more connection.
func (t *grants) hold(g *auth.Grant) uint32 {
	i, ok := t.byGrant[g]
	if !ok {
		var e *grantEntry
		i, e = t.entries.Take()
		*e = grantEntry{grant: g}
		t.byGrant[g] = i
	}
	t.entries.At(i).users++
	return i
}

// drop takes one connection off the grant i; 0 is none.
func (t *grants) drop(i uint32) {
	if i == 0 {
		return
	}
	e := t.entries.At(i)
	if e.users--; e.users == 0 {
		delete(t.byGrant, e.grant)
		*e = grantEntry{}
		t.entries.Put(i)
	}
}

// Rights holds the grants of a loop's clients, which come from their tokens.
type Rights struct {
	hub    *Hub
	grants grants
}

// Grant returns a client's grant, nil when it hasn't shown a token.
func (r *Rights) Grant(i uint32) *auth.Grant {
	c := r.hub.at(i)
	if c.grant == 0 {
		return nil
	}
	return r.grants.entries.At(c.grant).grant
}

// Set replaces a client's grant; nil removes it.
func (r *Rights) Set(i uint32, g *auth.Grant) {
	c := r.hub.at(i)
	r.grants.drop(c.grant)
	c.grant = 0
	if g != nil {
		c.grant = r.grants.hold(g)
	}
}

// Subject returns the subject of a client's token, or else of its certificate.
func (r *Rights) Subject(i uint32) string {
	if g := r.Grant(i); g != nil && g.Subject != "" {
		return g.Subject
	}
	return r.hub.Conns.Secure.Subject(i)
}

// MaySubscribe reports whether a client's token allows a channel.
func (r *Rights) MaySubscribe(i uint32, channel string) bool {
	g := r.Grant(i)
	return g != nil && g.MaySubscribe(channel)
}

// mayPublish reports whether a client may publish to a channel: with tokens, the token says so;
// without, the channel's rule does.
func (r *Rights) mayPublish(i uint32, channel string, rule *rules.Rule) bool {
	if r.hub.Options.Open {
		return rule.Publish
	}
	g := r.Grant(i)
	return g != nil && g.MayPublish(channel)
}

// Verify checks a token and counts refusals.
func (r *Rights) Verify(token []byte) (*auth.Grant, *auth.Error) {
	g, err := r.hub.Options.Verifier.Verify(token, time.Now())
	if err != nil {
		refused := err.(*auth.Error)
		r.hub.Stats.Tokens[refused.Reason]++
		return nil, refused
	}
	return g, nil
}

// Error codes for requests without the right.
const (
	CodeUnauthorized = "unauthorized"
	CodeForbidden    = "forbidden"
)

// Authorize sets a client's grant from the token of its request, and refuses a request without a
// valid one.
func (r *Rights) Authorize(i uint32, token []byte) bool {
	g, err := r.Verify(token)
	switch {
	case err == nil:
		r.Set(i, g)
		return true
	case err.Reason == auth.ReasonKeyPending:
		r.hub.HTTP.Refuse.Over(i, reasons.RejectKeyPending)
	default:
		r.hub.HTTP.Refuse.Request(i, reasons.RejectToken, Unauthorized(err), []byte(httpconn.Challenge))
	}
	return false
}

// Unauthorized returns the error for a request with a token that was refused.
func Unauthorized(err *auth.Error) *http1.Error {
	return &http1.Error{Status: 401, Code: CodeUnauthorized, Message: err.Error()}
}

// Allow refuses a request for channels outside its token's grant, and adds the channels that the
// token subscribes its client to.
func (r *Rights) Allow(i uint32, p *Params) *http1.Error {
	for _, name := range p.Channels {
		if !r.MaySubscribe(i, name) {
			return &http1.Error{Status: 403, Code: CodeForbidden, Message: "the token does not allow the channel " + name}
		}
	}
	p.Add(r.Grant(i).Channels)
	if len(p.Channels) == 0 {
		return errNoChannels
	}
	return r.TooMany(p)
}

var errNoChannels = reasons.BadRequest("name the channels: channels=a,b")

// TooMany returns an error for more channels than a client may have.
func (r *Rights) TooMany(p *Params) *http1.Error {
	n := r.hub.Options.ChannelsPerConnection
	if len(p.Channels) <= n {
		return nil
	}
	return &http1.Error{Status: 400, Code: reasons.CodeTooManyChannels, Message: fmt.Sprintf("%d channels, a connection may have %d", len(p.Channels), n)}
}
