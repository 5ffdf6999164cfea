package auth

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 8 << 10

// header is what counts of a token's header.
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

// scratch is where a token is decoded: a token of MaxToken fits.
type scratch struct {
	payload, signature []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encoding refuses what has a second spelling, beside line ends, which
// splitToken refuses.
var encoding = base64.RawURLEncoding.Strict()

// Verify returns what the token allows at the time now, or a *Error. It keeps
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
	if err := v.meant(&c); err != nil {
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
	err = eachMember(data, func(name, value []byte) error {
		ok := true
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
			return errHeader
		}
		return nil
	})
	switch {
	case err != nil || h.algorithm == "":
		return header{}, errHeader
	case critical:
		// Extensions that must be understood (RFC 7515 section 4.1.11).
		return header{}, errCritical
	}
	return h, nil
}

// current checks exp and nbf and returns when the grant ends.
func (v *Verifier) current(c *claims, now time.Time) (time.Time, error) {
	expires, err := seconds("exp", c.exp)
	if err != nil {
		return time.Time{}, err
	}
	before, err := seconds("nbf", c.nbf)
	if err != nil {
		return time.Time{}, err
	}
	if absent(c.exp) {
		if v.requireExp {
			return time.Time{}, errNoExpiry
		}
	} else if expires = expires.Add(v.leeway); !now.Before(expires) {
		return time.Time{}, errExpired
	}
	if !absent(c.nbf) && now.Before(before.Add(-v.leeway)) {
		return time.Time{}, errNotYet
	}
	return expires, nil
}

// meant checks iss and aud.
func (v *Verifier) meant(c *claims) error {
	if v.issuer != "" {
		issuer, err := text("iss", c.iss)
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
	audience, err := stringOrStrings("aud", c.aud)
	if err != nil {
		return err
	}
	for _, a := range audience {
		if slices.Contains(v.audience, a) {
			return nil
		}
	}
	return errAudience
}

// grant compiles the rights, or finds them where another token has the same.
func (v *Verifier) grant(c *claims, expires time.Time) (*Grant, error) {
	sub, err := text("sub", c.sub)
	if err != nil {
		return nil, err
	}
	if len(sub) > maxSubject {
		return nil, errSubjectLong
	}
	// A zero byte is in no JSON text, so the parts can't run into each other.
	key := string(bytes.Join([][]byte{c.subscribe, c.publish, c.channels}, []byte{0}))
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
