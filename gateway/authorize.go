package gateway

import (
	"bytes"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// What a client without a good token is told, and one whose token may be good
// once its key has been fetched.
const (
	codeUnauthorized = "unauthorized"
	codeKeyPending   = "key_pending"
)

// grants holds what the tokens of a shard's connections allow: one entry for
// each different grant, however many connections have it.
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

// grantOf returns what the connection may do, nil when it hasn't shown a token.
func (s *shard) grantOf(c *conn) *auth.Grant {
	if c.grant == 0 {
		return nil
	}
	return s.grants.entries.At(c.grant).grant
}

// setGrant gives the connection g, nil for nothing.
func (s *shard) setGrant(c *conn, g *auth.Grant) {
	s.grants.drop(c.grant)
	c.grant = 0
	if g != nil {
		c.grant = s.grants.hold(g)
	}
}

// maySubscribe reports whether the connection's token allows the channel.
func (s *shard) maySubscribe(c *conn, channel string) bool {
	g := s.grantOf(c)
	return g != nil && g.MaySubscribe(channel)
}

// mayPublish reports whether a client may publish to a channel: with tokens,
// the token says so; without, the channel's rule does.
func (s *shard) mayPublish(c *conn, channel string, rule *compiledRule) bool {
	if s.cfg.Auth.Mode == auth.ModeNone {
		return rule.Publish
	}
	g := s.grantOf(c)
	return g != nil && g.MayPublish(channel)
}

// requestToken returns the token of s.request: the Authorization header, else
// one among a WebSocket's subprotocols, else the query parameter.
func (s *shard) requestToken() []byte {
	if token := s.request.Bearer(); len(token) > 0 {
		return token
	}
	if token := offeredToken(&s.request); token != nil {
		return token
	}
	q := s.request.Query(s.decoded[:0])
	token, _ := q.Get("token")
	return token
}

// verify checks a token and counts it when it's refused.
func (s *shard) verify(token []byte) (*auth.Grant, *auth.Error) {
	g, err := s.cfg.verifier.Verify(token, time.Now())
	if err != nil {
		refused := err.(*auth.Error)
		s.stats.tokens[refused.Reason]++
		return nil, refused
	}
	return g, nil
}

// authorize gives the connection what the token of its request allows. A
// request without a good one is refused.
func (s *shard) authorize(i uint32, c *conn) bool {
	g, err := s.verify(s.requestToken())
	switch {
	case err == nil:
		s.setGrant(c, g)
		return true
	case err.Reason == auth.ReasonKeyPending:
		s.refuseOver(i, c, reasons.RejectKeyPending)
	default:
		s.refuse(i, c, reasons.RejectToken, unauthorized(err), []byte(challenge))
	}
	return false
}

// challenge is a header line of each 401 (RFC 6750, 3).
const challenge = "WWW-Authenticate: Bearer"

func unauthorized(err *auth.Error) *http1.Error {
	return &http1.Error{Status: 401, Code: codeUnauthorized, Message: err.Error()}
}

// allowed refuses a request for channels that its token doesn't allow, and adds
// those that the token subscribes its client to.
func (s *shard) allowed(c *conn, p *params) *http1.Error {
	for _, name := range p.channels {
		if !s.maySubscribe(c, name) {
			return &http1.Error{Status: 403, Code: codeForbidden, Message: "the token does not allow the channel " + name}
		}
	}
	p.add(s.grantOf(c).Channels)
	if len(p.channels) == 0 {
		return errNoChannels
	}
	return s.tooMany(p)
}

// admit lets a WebSocket in that has shown a token, or ends it. lead is sent
// before anything else: the answer to its handshake, or nothing.
//
// The handshake succeeds in any case: a browser tells its page nothing of a
// refused one, but a close code it does.
func (s *shard) admit(i uint32, c *conn, token []byte, p *params, ref requestRef, lead []byte) {
	g, err := s.verify(token)
	if err != nil {
		reason := reasons.CloseToken
		if err.Reason == auth.ReasonKeyPending {
			reason = reasons.CloseKeyPending
		}
		s.turnBack(i, c, reason, err.Error(), lead)
		return
	}
	s.setGrant(c, g)
	c.flags &^= flagUnknown
	for _, name := range p.channels {
		if !g.MaySubscribe(name) {
			s.turnBack(i, c, reasons.CloseForbidden, "the token does not allow the channel "+name, lead)
			return
		}
	}
	p.add(g.Channels)
	s.schedule(i, c, s.wheel.Spread(ticks(s.cfg.Heartbeat.Interval)))
	if len(lead) > 0 {
		s.sendCopy(i, c, lead)
	}
	if c.flags&flagRaw == 0 {
		s.sendCopy(i, c, s.welcomeFrame(i, c, ref))
	}
	s.subscribeAll(i, c, p)
}

// turnBack ends a WebSocket that doesn't come to be a client, behind lead.
func (s *shard) turnBack(i uint32, c *conn, reason reasons.Close, detail string, lead []byte) {
	last := bytes.Clone(lead)
	s.endWith(i, c, reason, append(last, s.farewell(c, reason, detail, byeSpread)...))
}

// commandAuth handles a client's auth: its first token where the request had
// none, or a new one before the old one expires.
func (s *shard) commandAuth(i uint32, c *conn, cmd *command) {
	if c.flags&flagUnknown != 0 {
		p := s.known(i)
		s.admit(i, c, []byte(cmd.Token), p, cmd.Ref, nil)
		return
	}
	g, err := s.verify([]byte(cmd.Token))
	switch {
	case err != nil && err.Reason == auth.ReasonKeyPending:
		s.refuseCommand(i, c, cmd, codeKeyPending, err.Error()) // the old one stays in force
		return
	case err != nil:
		s.refuseCommand(i, c, cmd, codeUnauthorized, err.Error())
		return
	case g.Subject != s.grantOf(c).Subject:
		s.refuseCommand(i, c, cmd, codeForbidden, "the token is of another subject")
		return
	}
	s.setGrant(c, g)
	if at, ok := s.wheel.Due(i); ok {
		s.schedule(i, c, at)
	}
	if c.flags&flagRaw == 0 {
		s.sendCopy(i, c, s.welcomeFrame(i, c, cmd.Ref))
	}
	s.revoke(i, c)
}

// revoke takes a client out of the channels that its new token doesn't allow.
func (s *shard) revoke(i uint32, c *conn) {
	var names []string
	for _, ch := range s.channelsOf(c) {
		names = append(names, s.index.Name(ch))
	}
	n := min(len(names), taskSlice)
	s.revokeSome(i, c, names[:n])
	if n < len(names) && c.phase == phaseOpen {
		s.putOff(i, c, &task{revokes: names[n:]})
	}
}

// revokeSome is revoke for some of its channels.
func (s *shard) revokeSome(i uint32, c *conn, names []string) {
	for _, name := range names {
		if !s.maySubscribe(c, name) {
			s.unsubscribe(i, c, &command{Channel: name})
		}
	}
}

// expiryOf returns the tick at which a connection's token ends, and whether it
// does within the next three years: ticks further ahead can't be told from past ones.
func (s *shard) expiryOf(c *conn) (end uint32, ok bool) {
	g := s.grantOf(c)
	if g == nil || g.Expires.IsZero() {
		return 0, false
	}
	ahead := int64(g.Expires.Sub(s.srv.started)/tick) - int64(s.now)
	return s.now + uint32(ahead), ahead < 1<<30
}

// schedule sets the connection's next deadline: due, or the end of its token or
// of its time here where that comes first.
func (s *shard) schedule(i uint32, c *conn, due uint32) {
	if end, ok := s.expiryOf(c); ok && int32(end-due) < 0 {
		due = end
	}
	if end, ok := s.ageOf(i, c); ok && int32(end-due) < 0 {
		due = end
	}
	s.wheel.Set(i, due)
}

// expired ends a connection whose token has.
func (s *shard) expired(i uint32, c *conn) bool {
	if end, ok := s.expiryOf(c); !ok || int32(s.now-end) < 0 {
		return false
	}
	s.stats.tokens[auth.ReasonExpired]++
	if c.kind == kindPoll {
		s.tryRespond(i, c)
		return true
	}
	s.endSaying(i, c, reasons.CloseToken, tokenRefused(auth.ReasonExpired))
	return true
}

// tokenRefused is what a client is told whose token isn't there or has run out
// while it was connected.
func tokenRefused(reason auth.Reason) string { return "token refused: " + string(reason) }

// errUnknown answers a command before the token.
const errUnknown = "send {\"type\":\"auth\",\"token\":…} first"
