package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

// Bounds of a key set.
const (
	maxJWKS     = 1 << 20
	maxJWKSKeys = 100
)

// remote fetches the keys of a JWKS URL. jwkset reads the keys; its own HTTP
// storage and keyfunc's are not used because they fetch inside the look-up of
// an unknown kid, read answers of any length, and start a goroutine that can't
// be waited for.
type remote struct {
	// Immutable
	url            string
	refresh, retry time.Duration
	timeout        time.Duration
	client         *http.Client
	log            *slog.Logger
	seed           maphash.Seed // of the hashes in open

	// Any goroutine sends without waiting, run receives, nobody closes. One
	// slot: a request while one is waiting adds nothing.
	asked chan struct{}

	// Guards itself
	//
	// open holds when tokens were first seen whose key isn't here, by a hash of
	// their text. It is all that a bad token leaves behind.
	open *cache[uint64, time.Time]

	// Atomic
	told atomic.Int64 // when such a token was last logged, Unix nanoseconds
}

func newRemote(cfg JWTConfig, log *slog.Logger) *remote {
	return &remote{
		url:     cfg.JWKSURL,
		refresh: cfg.JWKSRefresh, retry: cfg.JWKSRetry, timeout: cfg.JWKSTimeout,
		client: &http.Client{CheckRedirect: redirect},
		log:    log,
		seed:   maphash.MakeSeed(),
		asked:  make(chan struct{}, 1),
		open:   newCache[uint64, time.Time](openCache),
	}
}

// redirect follows a few, and never from https to something weaker.
func redirect(next *http.Request, via []*http.Request) error {
	if len(via) > 3 {
		return errors.New("more than 3 redirects")
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("redirected away from https")
	}
	return nil
}

// ask wants a fetch soon. It doesn't wait.
func (r *remote) ask() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// missed wants a fetch for a token without a key, and reports whether the fetch
// that the present keys came with was for it already: it began after the token
// was first seen. A token that is forgotten over a flood of others is seen for
// the first time again.
func (r *remote) missed(token, kid string, fetched time.Time) bool {
	r.ask()
	if !fetched.IsZero() {
		r.tell(kid)
	}
	hash := maphash.String(r.seed, token)
	first, ok := r.open.get(hash)
	if !ok {
		first = r.open.put(hash, time.Now())
	}
	return fetched.After(first)
}

// tell logs, once between two regular fetches, which key a token has that the
// fetched ones lack: the issuer has a new one, or is another than the URL's.
func (r *remote) tell(kid string) {
	now, last := time.Now().UnixNano(), r.told.Load()
	if now-last < int64(r.refresh) || !r.told.CompareAndSwap(last, now) {
		return
	}
	r.log.Info("a token has a key that is not among the fetched ones, which are fetched anew", "kid", kid[:min(len(kid), 64)], "key", "auth.jwt.jwks_url")
}

// run fetches until ctx ends and hands each key set that it could read to store,
// with the time at which it asked for it. After a failure it tries again after the
// retry time, doubled each time up to the refresh time.
func (r *remote) run(ctx context.Context, store func(keys []key, asked time.Time)) {
	defer r.client.CloseIdleConnections()
	failures := 0
	for {
		began := time.Now()
		keys, err := r.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		fetched := time.Now()
		wait := max(r.refresh, r.retry)
		if err != nil {
			wait = min(wait, r.retry<<min(failures, 16))
			failures++
			r.log.Warn("fetching token keys failed, the known ones stay", "error", err, "retry_in", wait)
		} else {
			failures = 0
			store(keys, began)
			r.log.Debug("fetched token keys", "keys", len(keys))
		}
		// A dither of a tenth keeps a fleet from asking at the same time.
		wait += rand.N(wait/10 + 1)
		if !r.pause(ctx, wait, fetched.Add(r.retry)) {
			return
		}
	}
}

// pause returns true when it is time for the next fetch: after wait, or when
// somebody asked, but not before earliest, which is no later than the end of
// wait. It returns false when ctx ends.
func (r *remote) pause(ctx context.Context, wait time.Duration, earliest time.Time) bool {
	due := time.NewTimer(wait)
	defer due.Stop()
	asked := r.asked
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-asked:
			asked = nil
			due.Reset(time.Until(earliest))
		}
	}
}

// fetch reads the key set once, in at most the timeout.
func (r *remote) fetch(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("the key set is longer than %d bytes", maxJWKS)
	}
	return r.parse(body)
}

// parse returns the keys that tokens can be verified with. One key that can't
// be used doesn't spoil the others; a document that is no key set is an error,
// while an empty list withdraws all keys.
func (r *remote) parse(body []byte) ([]key, error) {
	var set struct{ Keys *[]jwkset.JWKMarshal }
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New(`read the key set: no "keys" in it`)
	}
	if len(*set.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("the key set has %d keys, want at most %d", len(*set.Keys), maxJWKSKeys)
	}
	keys := make([]key, 0, len(*set.Keys))
	for _, j := range *set.Keys {
		k, err := parseJWK(j)
		if err != nil {
			r.log.Debug("a key of the key set is not used", "kid", j.KID, "error", err)
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		r.log.Warn("the key set has no key that tokens can be verified with", "keys", len(*set.Keys))
	}
	return keys, nil
}

// parseJWK takes public keys for signatures (RFC 7517 section 4). A shared
// secret has no place in a published document and is not taken.
func parseJWK(j jwkset.JWKMarshal) (key, error) {
	if j.USE != "" && j.USE != jwkset.UseSig {
		return key{}, fmt.Errorf("its use is %q", j.USE)
	}
	if len(j.KEYOPS) > 0 && !slices.Contains(j.KEYOPS, jwkset.KeyOpsVerify) {
		return key{}, fmt.Errorf("its key_ops are %v", j.KEYOPS)
	}
	parsed, err := jwkset.NewJWKFromMarshal(j, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, err
	}
	k, err := publicKey(parsed.Key())
	if err != nil {
		return key{}, err
	}
	if a := Algorithm(j.ALG); a != "" {
		if !slices.Contains(k.algorithms, a) {
			return key{}, fmt.Errorf("its alg is %q, want one of %v", a, k.algorithms)
		}
		k.algorithms = []Algorithm{a}
	}
	k.id = j.KID
	return k, nil
}
