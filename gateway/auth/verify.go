package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the caches, which hold up to twice as many entries. Together they
// take at most a few megabytes; a grant in its cache about 200 bytes.
const (
	headerCache = 64
	rightsCache = 1024
	grantCache  = 4096
	openCache   = 4096
)

// Verifier turns tokens into grants. Its methods are safe for concurrent use,
// and none but Run waits for anything outside the process.
type Verifier struct {
	// Immutable
	mode       string
	valid      func(name string) error
	allowed    []Algorithm
	static     []key
	audience   []string
	issuer     string
	leeway     time.Duration
	requireExp bool
	remote     *remote // nil without a JWKS URL
	log        *slog.Logger

	// Guard themselves
	headers *cache[string, header]
	rights  *cache[string, *rights]
	grants  *cache[grantKey, *Grant]

	// Atomic
	keys atomic.Pointer[keySet]
}

// New reads the key files and returns a verifier. Keys of a JWKS URL come with
// Run; until then its tokens are refused with ReasonKeyPending. channelName
// judges the channel names and patterns in tokens.
func New(cfg Config, channelName func(name string) error, log *slog.Logger) (*Verifier, error) {
	keys, err := cfg.keys()
	if err != nil {
		return nil, err
	}
	v := newVerifier(channelName)
	v.mode, v.log = cfg.Mode, log
	v.audience, v.issuer = slices.Clone(cfg.JWT.Audience), cfg.JWT.Issuer
	v.leeway, v.requireExp = cfg.JWT.Leeway, cfg.JWT.RequireExp
	if cfg.Mode == ModeNone {
		if cfg.JWT.HasKey() {
			log.Warn("there are keys for tokens, and nobody needs a token: auth.mode is none", "key", "auth.mode")
		}
		return v, nil
	}
	v.static = keys.keys
	if cfg.JWT.JWKSURL != "" {
		v.remote = newRemote(cfg.JWT, log)
	}
	v.keys.Store(keys)
	v.allowed = keys.allowed()
	if len(cfg.JWT.Algorithms) > 0 {
		v.allowed = nil
		for _, name := range cfg.JWT.Algorithms {
			v.allowed = append(v.allowed, Algorithm(name))
		}
	}
	v.warn(cfg.JWT)
	return v, nil
}

// newVerifier returns one that compiles claims and knows no key.
func newVerifier(channelName func(name string) error) *Verifier {
	return &Verifier{
		valid:   channelName,
		headers: newCache[string, header](headerCache),
		rights:  newCache[string, *rights](rightsCache),
		grants:  newCache[grantKey, *Grant](grantCache),
	}
}

// warn logs settings that work and yet should not stay.
func (v *Verifier) warn(cfg JWTConfig) {
	want := 32
	for _, name := range cfg.Algorithms {
		// It is to be as long as the hash (RFC 7518 section 3.2).
		switch Algorithm(name) {
		case HS384:
			want = max(want, 48)
		case HS512:
			want = max(want, 64)
		}
	}
	for _, k := range v.static {
		if secret, ok := k.material.([]byte); ok && len(secret) < want {
			v.log.Warn("the token secret is short, and the easier to guess from a token", "key", "auth.jwt.secret", "bytes", len(secret), "want", want)
		}
	}
	if strings.HasPrefix(cfg.JWKSURL, "http://") {
		v.log.Warn("keys are fetched without TLS: whoever can answer in place of the server can issue tokens", "key", "auth.jwt.jwks_url")
	}
}

// Run fetches the keys of the JWKS URL, now, in intervals, and when a token
// names a key that isn't known. It returns nil when ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	if v.remote == nil {
		<-ctx.Done()
		return nil
	}
	v.remote.run(ctx, v.store)
	return nil
}

// Fetch fetches the keys of the JWKS URL once, for programs that verify a
// token and end: no other keys are to come. Without a URL it does nothing.
func (v *Verifier) Fetch(ctx context.Context) error {
	if v.remote == nil {
		return nil
	}
	keys, err := v.remote.fetch(ctx)
	if err == nil {
		v.keys.Store(&keySet{keys: slices.Concat(v.static, keys)})
	}
	return err
}

// store replaces the fetched keys by the result of a fetch that began at asked.
func (v *Verifier) store(fetched []key, asked time.Time) {
	v.keys.Store(&keySet{keys: slices.Concat(v.static, fetched), remote: true, asked: asked})
}

// Adopt takes over the fetched keys of the verifier that this one replaces, if
// both have the same JWKS URL, so that a reload refuses nobody until the first
// fetch. To be called before Run.
func (v *Verifier) Adopt(old *Verifier) {
	if v.remote == nil || old.remote == nil || v.remote.url != old.remote.url {
		return
	}
	known := old.keys.Load()
	v.store(known.keys[len(old.static):], known.asked)
}

// Ready returns an error while no token can be accepted because no key is here
// yet.
func (v *Verifier) Ready() error {
	if v.mode == ModeNone || len(v.keys.Load().keys) > 0 {
		return nil
	}
	return errors.New("no keys fetched from auth.jwt.jwks_url yet")
}

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 8 << 10

// header is the part of a token's header that counts.
type header struct {
	algorithm Algorithm
	kid       string
}

// grantKey says when two tokens grant the same.
type grantKey struct {
	subject string
	expires int64 // Unix nanoseconds; 0 is never
	rights  *rights
}

// scratch holds the decoded parts of a token; it grows to MaxToken.
type scratch struct {
	payload, signature []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encoding refuses a second spelling of the same bytes, but for line ends, which
// authentic refuses.
var encoding = base64.RawURLEncoding.Strict()

// Verify returns the rights of a token at the time now, or a *Error. It keeps
// nothing of token. It never waits: a token whose key may still be fetched is
// refused with ReasonKeyPending, and accepted later or refused for good.
func (v *Verifier) Verify(token []byte, now time.Time) (*Grant, error) {
	if v.mode == ModeNone {
		return everything, nil
	}
	if len(token) == 0 {
		return nil, errMissing
	}
	if len(token) > MaxToken {
		return nil, errTooLong
	}
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)
	if err := v.authentic(token, buf); err != nil {
		return nil, err
	}
	var c claims
	if err := c.parse(buf.payload); err != nil {
		return nil, err
	}
	expires, err := v.current(&c, now)
	if err != nil {
		return nil, err
	}
	if err := v.checkParties(&c); err != nil {
		return nil, err
	}
	return v.grant(&c, expires)
}

// authentic checks form and signature and leaves the claims in buf.
func (v *Verifier) authentic(token []byte, buf *scratch) error {
	// The signing methods take text; a copy keeps the caller's bytes out of it.
	text := string(token)
	head, rest, ok1 := strings.Cut(text, ".")
	claims, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.IndexByte(signature, '.') >= 0 {
		return errParts
	}
	if strings.ContainsAny(text, "\r\n") {
		return errBase64 // which the decoder would skip
	}
	h, cached := v.headers.get(head)
	if !cached {
		var err error
		if h, err = parseHeader(head); err != nil {
			return err
		}
	}
	if !slices.Contains(v.allowed, h.algorithm) {
		return errAlgorithm
	}
	var err error
	if buf.signature, err = encoding.AppendDecode(buf.signature[:0], []byte(signature)); err != nil {
		return errBase64
	}
	if buf.payload, err = encoding.AppendDecode(buf.payload[:0], []byte(claims)); err != nil {
		return errBase64
	}
	keys := v.keys.Load()
	if err, open := keys.verify(h, text[:len(head)+1+len(claims)], buf.signature); err != nil {
		if open && !v.remote.missed(text, h.kid, keys.asked) {
			return errKeyPending
		}
		return err
	}
	if !cached {
		v.headers.put(strings.Clone(head), h)
	}
	return nil
}

func parseHeader(encoded string) (header, error) {
	data, err := encoding.DecodeString(encoded)
	if err != nil {
		return header{}, errBase64
	}
	var h header
	critical := false
	for name, value := range members(data) {
		ok := name != nil
		switch string(name) {
		case "alg":
			var s string
			s, ok = unquote(value)
			ok = ok && h.algorithm == ""
			h.algorithm = Algorithm(s)
		case "kid":
			ok = h.kid == ""
			h.kid, _ = unquote(value)
		case "crit":
			critical = true
		}
		if !ok {
			return header{}, errHeader
		}
	}
	switch {
	case h.algorithm == "":
		return header{}, errHeader
	case critical:
		// Extensions that must be understood (RFC 7515 section 4.1.11).
		return header{}, errCritical
	}
	return h, nil
}

// current checks exp and nbf and returns when the grant ends.
func (v *Verifier) current(c *claims, now time.Time) (time.Time, error) {
	expires, err := c.date(claimExp)
	if err != nil {
		return time.Time{}, err
	}
	before, err := c.date(claimNbf)
	if err != nil {
		return time.Time{}, err
	}
	if absent(c[claimExp]) {
		if v.requireExp {
			return time.Time{}, errNoExpiry
		}
	} else if expires = expires.Add(v.leeway); !now.Before(expires) {
		return time.Time{}, errExpired
	}
	if !absent(c[claimNbf]) && now.Before(before.Add(-v.leeway)) {
		return time.Time{}, errNotYet
	}
	return expires, nil
}

// checkParties checks iss and aud.
func (v *Verifier) checkParties(c *claims) error {
	if v.issuer != "" {
		issuer, err := c.text(claimIss)
		if err != nil {
			return err
		}
		if issuer != v.issuer {
			return errIssuer
		}
	}
	if len(v.audience) == 0 {
		return nil
	}
	audience, err := c.list(claimAud, func(s string) []string { return []string{s} }, "a string or an array of strings")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(v.audience, a) }) {
		return errAudience
	}
	return nil
}

// grant compiles the rights, or finds them where another token has the same.
func (v *Verifier) grant(c *claims, expires time.Time) (*Grant, error) {
	sub, err := c.text(claimSub)
	if err != nil {
		return nil, err
	}
	if len(sub) > maxSubject {
		return nil, errSubjectLong
	}
	// A zero byte is in no JSON text, so the parts can't run into each other.
	key := string(bytes.Join(c[claimSubscribe:], []byte{0}))
	r, ok := v.rights.get(key)
	if !ok {
		if r, err = parseRights(c, v.valid); err != nil {
			return nil, err
		}
		if len(key) <= maxCachedRights {
			r = v.rights.put(key, r)
		}
	}
	if sub == "" && r.usesSubject() {
		return nil, errSubject
	}
	same := grantKey{subject: sub, rights: r}
	if !expires.IsZero() {
		same.expires = expires.UnixNano()
	}
	if g, ok := v.grants.get(same); ok {
		return g, nil
	}
	return v.grants.put(same, &Grant{
		Subject: sub, Expires: expires,
		Subscribe: r.subscribe, Publish: r.publish, Channels: r.channelsFor(sub, v.valid),
	}), nil
}
