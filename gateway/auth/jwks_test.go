package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
)

// issuer is a JWKS server whose answer can be changed.
type issuer struct {
	*httptest.Server

	// Atomic
	answer  atomic.Pointer[http.HandlerFunc]
	fetches atomic.Int32
}

func newIssuer(t *testing.T) *issuer {
	s := &issuer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	s.serve("{}")
	return s
}

func (s *issuer) handle(h http.HandlerFunc) { s.answer.Store(&h) }

func (s *issuer) serve(body string) {
	s.handle(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
}

// jwks returns a key set of public keys by kid.
func jwks(t *testing.T, keys map[string]any) string {
	t.Helper()
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for kid, k := range keys {
		j, err := jwkset.NewJWKFromKey(k, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, j.Marshal())
	}
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func jwksConfig(url string) Config {
	return jwtConfig(func(j *JWTConfig) {
		j.Secret, j.JWKSURL = "", url
		j.JWKSRefresh, j.JWKSRetry = time.Hour, 100*time.Millisecond
	})
}

// start runs the verifier until the test ends, or stop is called.
func start(t *testing.T, v *Verifier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestJWKSRotation(t *testing.T) {
	s := newIssuer(t)
	s.serve(jwks(t, map[string]any{"old": testKeys()[ES256].Public()}))
	v := testVerifier(t, jwksConfig(s.URL))
	before := mint(t, Claims{Subject: "bob"}, signingKey(t, ES256, "old"))
	after := mint(t, Claims{Subject: "bob"}, signingKey(t, EdDSA, "new"))
	reason := func(token []byte) Reason {
		_, err := v.Verify(token, noon)
		return reasonOf(t, err)
	}
	if got := reason(before); got != ReasonKeyPending || v.Ready() == nil {
		t.Fatalf("before the first fetch: %q, ready: %v", got, v.Ready())
	}
	start(t, v)
	eventually(t, "the first key", func() bool { return v.Ready() == nil })
	if got := reason(before); got != "" {
		t.Fatalf("the old key: %q", got)
	}
	if got := reason(after); got != ReasonKeyPending {
		t.Fatalf("a key that is not published: %q", got)
	}
	eventually(t, "it is known that the key is not published", func() bool { return reason(after) == ReasonKey })
	s.serve(jwks(t, map[string]any{"new": testKeys()[EdDSA].Public()}))
	eventually(t, "the new key", func() bool { return reason(after) == "" })
	if got := reason(before); got != ReasonKeyPending && got != ReasonKey {
		t.Errorf("the withdrawn key: %q", got)
	}
	eventually(t, "the withdrawn key is gone for good", func() bool { return reason(before) == ReasonKey })
}

// TestJWKSAskedOften floods with unknown keys; the server must see no more
// fetches than one each retry time.
func TestJWKSAskedOften(t *testing.T) {
	s := newIssuer(t)
	s.serve(jwks(t, map[string]any{"a": testKeys()[ES256].Public()}))
	v := testVerifier(t, jwksConfig(s.URL))
	began := time.Now()
	start(t, v)
	eventually(t, "four fetches", func() bool {
		for i := range 50 {
			token := sign(t, signingKey(t, HS256, ""), fmt.Sprintf(`{"alg":"ES256","kid":"x%d"}`, i), "{}")
			if _, err := v.Verify(token, noon); reasonOf(t, err) != ReasonKeyPending && reasonOf(t, err) != ReasonKey {
				t.Fatal(err)
			}
		}
		return s.fetches.Load() >= 4
	})
	if took := time.Since(began); took < 3*v.remote.retry {
		t.Errorf("four fetches in %v, want at most one each %v", took, v.remote.retry)
	}
}

// TestJWKSHangs has a server that takes requests and never answers, before and
// after the first keys.
func TestJWKSHangs(t *testing.T) {
	s := newIssuer(t)
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	s.handle(hang)
	cfg := jwksConfig(s.URL)
	cfg.JWT.Secret = testSecret
	cfg.JWT.JWKSTimeout = 100 * time.Millisecond
	v := testVerifier(t, cfg)
	start(t, v)
	known := mint(t, Claims{}, signingKey(t, ES256, "known"))
	unknown := mint(t, Claims{}, signingKey(t, EdDSA, "unknown"))
	static := mint(t, Claims{}, signingKey(t, HS256, ""))
	// Within the hang, because it lasts as long as the test looks.
	verify := func(token []byte, want Reason) {
		t.Helper()
		done := make(chan error, 1)
		go func() {
			_, err := v.Verify(token, noon)
			done <- err
		}()
		select {
		case err := <-done:
			if got := reasonOf(t, err); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("Verify waits for the server")
		}
	}
	eventually(t, "a fetch", func() bool { return s.fetches.Load() > 0 })
	verify(known, ReasonKeyPending)
	verify(static, "")
	eventually(t, "another try", func() bool { return s.fetches.Load() > 1 })

	s.serve(jwks(t, map[string]any{"known": testKeys()[ES256].Public()}))
	eventually(t, "keys after the hang", func() bool { _, err := v.Verify(known, noon); return err == nil })
	s.handle(hang)
	seen := s.fetches.Load()
	verify(unknown, ReasonKeyPending)
	eventually(t, "a fetch for the unknown key", func() bool { return s.fetches.Load() > seen })
	verify(known, "")
	verify(static, "")
}

// TestJWKSFailures keeps the known keys through every bad answer.
func TestJWKSFailures(t *testing.T) {
	s := newIssuer(t)
	good := jwks(t, map[string]any{"a": testKeys()[ES256].Public()})
	s.serve(good)
	v := testVerifier(t, jwksConfig(s.URL))
	if err := v.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := mint(t, Claims{}, signingKey(t, ES256, "a"))
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); fmt.Fprint(w, good) }
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
	}
	for name, h := range map[string]http.HandlerFunc{
		"500":           status(500),
		"404":           status(404),
		"no JSON":       text("<html>"),
		"no keys":       text("{}"),
		"cut off":       text(good[:len(good)/2]),
		"too long":      text(good[:len(good)-1] + strings.Repeat(" ", maxJWKS) + "}"),
		"too many keys": text(`{"keys":[` + strings.Repeat(`{"kty":"EC"},`, maxJWKSKeys) + `{"kty":"EC"}]}`),
		"redirects":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) },
		"hung up":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s.handle(h)
			if err := v.Fetch(t.Context()); err == nil {
				t.Error("the answer was taken")
			}
			if _, err := v.Verify(token, noon); err != nil {
				t.Error(err)
			}
		})
	}
	s.serve(`{"keys":[]}`)
	if err := v.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(token, noon); reasonOf(t, err) != ReasonKey {
		t.Errorf("all keys are withdrawn: %v", err)
	}
}

// TestJWKSChoosesKeys has good keys among those that must not be used.
func TestJWKSChoosesKeys(t *testing.T) {
	public := testKeys()[EdDSA].Public().(ed25519.PublicKey)
	var one struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(jwks(t, map[string]any{"good": public})), &one); err != nil {
		t.Fatal(err)
	}
	with := func(kid string, changes map[string]any) map[string]any {
		j := map[string]any{"kid": kid}
		for name, value := range one.Keys[0] {
			if name != "kid" {
				j[name] = value
			}
		}
		for name, value := range changes {
			j[name] = value
		}
		return j
	}
	all := []map[string]any{
		with("good", map[string]any{"use": "sig", "key_ops": []string{"verify"}}),
		with("encrypts", map[string]any{"use": "enc"}),
		with("signs", map[string]any{"key_ops": []string{"sign"}}),
		with("other alg", map[string]any{"alg": "ES256"}),
		with("broken", map[string]any{"x": "AAAA"}),
		{"kid": "secret", "kty": "oct", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "alg": "HS256"},
		{"kid": "future", "kty": "PQ"},
	}
	var others struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(jwks(t, map[string]any{"rsa": testKeys()[RS256].Public(), "p521": testKeys()[ES512].Public()})), &others); err != nil {
		t.Fatal(err)
	}
	for _, j := range others.Keys {
		if j["kty"] == "RSA" {
			j["alg"] = "PS384"
		}
	}
	body, err := json.Marshal(map[string]any{"keys": append(all, others.Keys...)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRemote(DefaultConfig().JWT, slog.New(slog.DiscardHandler))
	keys, err := r.parse(body)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range keys {
		got[k.id] = fmt.Sprint(k.algorithms)
	}
	// An alg narrows the algorithms of a key.
	if want := map[string]string{"good": "[EdDSA]", "rsa": "[PS384]", "p521": "[ES512]"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestJWKSWithoutKid tries every key of the algorithm, and asks for new ones
// when none fits, because only the server can know whether there are more.
func TestJWKSWithoutKid(t *testing.T) {
	s := newIssuer(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.serve(jwks(t, map[string]any{"a": other.Public()}))
	v := testVerifier(t, jwksConfig(s.URL))
	start(t, v)
	eventually(t, "the first key", func() bool { return v.Ready() == nil })
	token := mint(t, Claims{}, signingKey(t, ES256, ""))
	if _, err := v.Verify(token, noon); reasonOf(t, err) != ReasonKeyPending {
		t.Fatalf("no key fits: %v", err)
	}
	eventually(t, "no key fits for good", func() bool { _, err := v.Verify(token, noon); return reasonOf(t, err) == ReasonSignature })
	s.serve(jwks(t, map[string]any{"a": other.Public(), "b": testKeys()[ES256].Public()}))
	eventually(t, "the new key", func() bool { _, err := v.Verify(token, noon); return err == nil })
}

func TestAdopt(t *testing.T) {
	s := newIssuer(t)
	s.serve(jwks(t, map[string]any{"a": testKeys()[ES256].Public()}))
	cfg := jwksConfig(s.URL)
	cfg.JWT.Secret = testSecret
	old := testVerifier(t, cfg)
	if err := old.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	fetched := mint(t, Claims{}, signingKey(t, ES256, "a"))
	static := mint(t, Claims{}, signingKey(t, HS256, ""))
	elsewhere := cfg
	elsewhere.JWT.JWKSURL = s.URL + "/elsewhere"
	for name, tt := range map[string]struct {
		cfg             Config
		fetched, static Reason
	}{
		"same":           {cfg, "", ""},
		"without secret": {jwksConfig(s.URL), "", ReasonSignature},
		"another server": {elsewhere, ReasonKeyPending, ""},
		"no server":      {jwtConfig(nil), ReasonSignature, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := testVerifier(t, tt.cfg)
			v.Adopt(old)
			for _, c := range []struct {
				token []byte
				want  Reason
			}{{fetched, tt.fetched}, {static, tt.static}} {
				if _, err := v.Verify(c.token, noon); reasonOf(t, err) != c.want {
					t.Errorf("got %v, want %q", err, c.want)
				}
			}
		})
	}
}

func TestRedirectKeepsTLS(t *testing.T) {
	plain := newIssuer(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	r := newRemote(jwksConfig(secure.URL).JWT, slog.New(slog.DiscardHandler))
	r.client.Transport = secure.Client().Transport
	if _, err := r.fetch(t.Context()); err == nil || plain.fetches.Load() != 0 {
		t.Errorf("followed a redirect to http, error %v", err)
	}
}
