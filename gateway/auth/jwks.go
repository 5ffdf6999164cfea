package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/MicahParks/jwkset"
)

// Bounds on what a JWKS server may answer.
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

	// Any goroutine sends without waiting, run receives, nobody closes. One
	// slot: a request while one is waiting adds nothing.
	asked chan struct{}
}

func newRemote(cfg JWTConfig, log *slog.Logger) *remote {
	return &remote{
		url:     cfg.JWKSURL,
		refresh: cfg.JWKSRefresh, retry: cfg.JWKSRetry, timeout: cfg.JWKSTimeout,
		client: &http.Client{CheckRedirect: redirect},
		log:    log,
		asked:  make(chan struct{}, 1),
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

// run fetches until ctx ends and hands each key set that it could read to
// store. After a failure it tries again after the retry time, doubled each time
// up to the refresh time.
func (r *remote) run(ctx context.Context, store func([]key)) {
	defer r.client.CloseIdleConnections()
	failures := 0
	for {
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
			store(keys)
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
	if j.ALG != "" && string(j.ALG) != string(k.algorithm) {
		return key{}, fmt.Errorf("its alg is %q, want %s", j.ALG, k.algorithm)
	}
	k.id = j.KID
	return k, nil
}
