package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time at which the tests verify.
var noon = time.Unix(1_750_000_000, 0).UTC()

const testSecret = "0123456789abcdef0123456789abcdef"

// testKeys are the same in every process, as fuzzing needs it, except for RSA.
var testKeys = sync.OnceValue(func() map[Algorithm]crypto.Signer {
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.ParseRawPrivateKey(elliptic.P256(), []byte(testSecret))
	if err := errors.Join(err1, err2); err != nil {
		panic(err)
	}
	return map[Algorithm]crypto.Signer{RS256: r, ES256: e, EdDSA: ed25519.NewKeyFromSeed([]byte(testSecret))}
})

func publicPEM(t testing.TB, k crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func privatePEM(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// signingKey returns the test key for an algorithm.
func signingKey(t testing.TB, a Algorithm, kid string) SigningKey {
	t.Helper()
	data := []byte(testSecret)
	if a != HS256 {
		data = privatePEM(t, testKeys()[a])
	}
	k, err := NewSigningKey(data, kid)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// channelName is the alphabet and length of channel names.
func channelName(name string) error {
	if len(name) < 1 || len(name) > 200 {
		return errors.New("want 1 to 200 bytes")
	}
	for i := range len(name) {
		b := name[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && bytes.IndexByte([]byte("_-.:/@=~!$+#"), b) < 0 {
			return errors.New("has a byte that is not allowed")
		}
	}
	return nil
}

// jwtConfig returns mode jwt with the test secret, changed by change.
func jwtConfig(change func(*JWTConfig)) Config {
	cfg := DefaultConfig()
	cfg.Mode = ModeJWT
	cfg.JWT.Secret = testSecret
	if change != nil {
		change(&cfg.JWT)
	}
	return cfg
}

func testVerifier(t testing.TB, cfg Config) *Verifier {
	t.Helper()
	v, err := New(cfg, channelName, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mint(t testing.TB, c Claims, k SigningKey) []byte {
	t.Helper()
	token, err := Mint(c, k)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token)
}

// sign makes a token of a header and claims as they are written.
func sign(t testing.TB, k SigningKey, header, payload string) []byte {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := k.method.Sign(text, k.material)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(text + "." + base64.RawURLEncoding.EncodeToString(signature))
}

// reasonOf returns the reason of a refusal, "" for an accepted token.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("%v is a %T, want *Error", err, err)
	}
	return refused.Reason
}
