package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestKeyPending: a token without a key is refused for good once a fetch that
// began after it was first seen has come without the key, not before.
func TestKeyPending(t *testing.T) {
	s := newIssuer(t)
	away := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	s.handle(away)
	cfg := jwksConfig(s.URL)
	cfg.JWT.Secret, cfg.JWT.JWKSTimeout = testSecret, time.Minute
	var logged bytes.Buffer
	v, err := New(cfg, channelName, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		t.Fatal(err)
	}
	known := mint(t, Claims{}, signingKey(t, ES256, "known"))
	unknown := mint(t, Claims{}, signingKey(t, EdDSA, "unknown"))
	unnamed := mint(t, Claims{}, signingKey(t, ES384, ""))
	secret := SigningKey{method: signingKey(t, HS256, "").method, material: []byte("another"), id: "unknown"}
	forged := mint(t, Claims{}, secret)
	reason := func(token []byte) Reason {
		_, err := v.Verify(token, noon)
		return reasonOf(t, err)
	}
	expect := func(when string, want map[Reason][][]byte) {
		t.Helper()
		for wanted, tokens := range want {
			for i, token := range tokens {
				if got := reason(token); got != wanted {
					t.Errorf("%s: token %d: got %q, want %q", when, i, got, wanted)
				}
			}
		}
	}
	// A published key is never a secret, so that one is not waited for.
	expect("before the first fetch", map[Reason][][]byte{ReasonKeyPending: {known, unknown, unnamed}, ReasonSignature: {forged}})
	stop := start(t, v)
	eventually(t, "three fetches that fail", func() bool { return s.fetches.Load() >= 3 })
	expect("the server is away", map[Reason][][]byte{ReasonKeyPending: {known, unknown, unnamed}, ReasonSignature: {forged}})

	// The answer to a question that was asked before a token came says nothing of it.
	answer := make(chan struct{})
	asked := make(chan struct{}, 10)
	set := jwks(t, map[string]any{"known": testKeys()[ES256].Public()})
	s.handle(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		fmt.Fprint(w, set)
	})
	<-asked
	late := mint(t, Claims{Subject: "late"}, signingKey(t, EdDSA, "late"))
	expect("during a fetch", map[Reason][][]byte{ReasonKeyPending: {known, unknown, unnamed, late}})
	answer <- struct{}{}
	eventually(t, "the key", func() bool { return v.Ready() == nil && reason(known) == "" })
	expect("after that fetch", map[Reason][][]byte{"": {known}, ReasonKey: {unknown, unnamed}, ReasonKeyPending: {late}})
	<-asked
	answer <- struct{}{}
	eventually(t, "the next fetch", func() bool { return reason(late) == ReasonKey })
	expect("a new token", map[Reason][][]byte{ReasonKeyPending: {mint(t, Claims{Subject: "new"}, signingKey(t, EdDSA, "late"))}})
	close(answer)
	stop()
	if n := strings.Count(logged.String(), "a token has a key that is not among the fetched ones"); n != 1 || !strings.Contains(logged.String(), "kid=") {
		t.Errorf("logged %d times for one refresh:\n%s", n, &logged)
	}
}

// TestKeyPendingIsBounded floods with tokens without a key.
func TestKeyPendingIsBounded(t *testing.T) {
	v := testVerifier(t, jwksConfig("http://127.0.0.1:1"))
	for i := range 3 * openCache {
		token := fmt.Sprintf("%s.%s.AAAA", encode(`{"alg":"ES256","kid":"a"}`), encode(fmt.Sprint(i)))
		if _, err := v.Verify([]byte(token), noon); reasonOf(t, err) != ReasonKeyPending {
			t.Fatal(err)
		}
	}
	if n := len(v.remote.open.young) + len(v.remote.open.old); n > 2*openCache {
		t.Errorf("%d tokens are remembered", n)
	}
}
