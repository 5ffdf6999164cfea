package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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

// warn logs what works and yet should not stay so.
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

// store replaces the fetched keys by those of a fetch that began at asked.
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
