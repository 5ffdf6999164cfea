package gateway

import (
	"bytes"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// Error codes for a request without a valid token, and for one whose signing key is still being
// fetched.
const (
	codeUnauthorized = "unauthorized"
	codeKeyPending   = "key_pending"
)

// grants holds the grants of a shard's connections, one entry for each distinct grant, however many
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

// grantOf returns the connection's grant, nil when it hasn't shown a token.
func (s *shard) grantOf(c *client) *auth.Grant {
	if c.grant == 0 {
		return nil
	}
	return s.grants.entries.At(c.grant).grant
}

// setGrant replaces the connection's grant; nil removes it.
func (s *shard) setGrant(c *client, g *auth.Grant) {
	s.grants.drop(c.grant)
	c.grant = 0
	if g != nil {
		c.grant = s.grants.hold(g)
	}
}

// maySubscribe reports whether the connection's token allows the channel.
func (s *shard) maySubscribe(c *client, channel string) bool {
	g := s.grantOf(c)
	return g != nil && g.MaySubscribe(channel)
}

// mayPublish reports whether a client may publish to a channel: with tokens,
// the token says so; without, the channel's rule does.
func (s *shard) mayPublish(c *client, channel string, rule *compiledRule) bool {
	if s.cfg.Auth.Mode == auth.ModeNone {
		return rule.Publish
	}
	g := s.grantOf(c)
	return g != nil && g.MayPublish(channel)
}

// requestToken returns the token of s.request: from the Authorization header, else from a
// WebSocket's subprotocols, else from the query.
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

// verify checks a token and counts refusals.
func (s *shard) verify(token []byte) (*auth.Grant, *auth.Error) {
	g, err := s.cfg.verifier.Verify(token, time.Now())
	if err != nil {
		refused := err.(*auth.Error)
		s.stats.tokens[refused.Reason]++
		return nil, refused
	}
	return g, nil
}

// authorize sets the connection's grant from the token of its request, and refuses a request
// without a valid one.
func (s *shard) authorize(i uint32, c *client) bool {
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

// allowed refuses a request for channels outside its token's grant, and adds the channels that the
// token subscribes its client to.
func (s *shard) allowed(c *client, p *params) *http1.Error {
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

// admit verifies a WebSocket's token and makes it a client, or closes it. lead is sent before
// anything else: the response to its handshake, or nothing.
//
// The handshake succeeds in any case: a browser hides a failed handshake from its page, but not a
// close code.
func (s *shard) admit(i uint32, c *client, token []byte, p *params, ref requestRef, lead []byte) {
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
	s.schedule(i, c, s.conns.Spread(conn.Ticks(s.cfg.Heartbeat.Interval)))
	if len(lead) > 0 {
		s.conns.SendCopy(i, lead)
	}
	if c.flags&flagRaw == 0 {
		s.conns.SendCopy(i, s.welcomeFrame(i, c, ref))
	}
	s.subscribeAll(i, c, p)
}

// turnBack closes a WebSocket before it has become a client, behind lead.
func (s *shard) turnBack(i uint32, c *client, reason reasons.Close, detail string, lead []byte) {
	last := bytes.Clone(lead)
	s.conns.Finish(i, reason, append(last, s.farewell(c, reason, detail, byeSpread)...))
}

// commandAuth handles a client's auth command: its first token where the request had none, or a new
// one before the old one expires.
func (s *shard) commandAuth(i uint32, c *client, cmd *command) {
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
		s.refuseCommand(i, c, cmd, codeForbidden, "the token has another subject")
		return
	}
	s.setGrant(c, g)
	if at, ok := s.conns.Deadline(i); ok {
		s.schedule(i, c, at)
	}
	if c.flags&flagRaw == 0 {
		s.conns.SendCopy(i, s.welcomeFrame(i, c, cmd.Ref))
	}
	s.revoke(i, c)
}

// revoke unsubscribes a client from the channels outside its new token's grant.
func (s *shard) revoke(i uint32, c *client) {
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

// revokeSome is revoke for some of the client's channels.
func (s *shard) revokeSome(i uint32, c *client, names []string) {
	for _, name := range names {
		if !s.maySubscribe(c, name) {
			s.unsubscribe(i, c, &command{Channel: name})
		}
	}
}

// expiryOf returns the tick at which a connection's token expires, and whether that is within the
// next three years: ticks further ahead look like past ones.
func (s *shard) expiryOf(c *client) (end uint32, ok bool) {
	g := s.grantOf(c)
	if g == nil || g.Expires.IsZero() {
		return 0, false
	}
	ahead := int64(g.Expires.Sub(s.srv.net.Started)/conn.Tick) - int64(s.conns.Now())
	return s.conns.Now() + uint32(ahead), ahead < 1<<30
}

// schedule sets the connection's next deadline: due, or the expiry of its token or its maximum age
// if that is earlier.
func (s *shard) schedule(i uint32, c *client, due uint32) {
	if end, ok := s.expiryOf(c); ok && int32(end-due) < 0 {
		due = end
	}
	if end, ok := s.ageOf(i); ok && int32(end-due) < 0 {
		due = end
	}
	s.conns.SetDeadline(i, due)
}

// expired closes a connection whose token has expired.
func (s *shard) expired(i uint32, c *client) bool {
	if end, ok := s.expiryOf(c); !ok || int32(s.conns.Now()-end) < 0 {
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

// tokenRefused is the message for a client whose token is missing or has expired while it was
// connected.
func tokenRefused(reason auth.Reason) string { return "token refused: " + string(reason) }

// errUnknown refuses a command before the token.
const errUnknown = "send {\"type\":\"auth\",\"token\":…} first"
