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
	keys := map[Algorithm]crypto.Signer{EdDSA: ed25519.NewKeyFromSeed([]byte(testSecret))}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	for _, a := range rsaAlgorithms {
		keys[a] = rsaKey
	}
	for a, curve := range map[Algorithm]elliptic.Curve{ES256: elliptic.P256(), ES384: elliptic.P384(), ES512: elliptic.P521()} {
		scalar := make([]byte, (curve.Params().BitSize+7)/8)
		copy(scalar[len(scalar)-len(testSecret):], testSecret)
		k, wrong := ecdsa.ParseRawPrivateKey(curve, scalar)
		keys[a], err = k, errors.Join(err, wrong)
	}
	if err != nil {
		panic(err)
	}
	return keys
})

// publicPEMs are the public keys for all algorithms.
func publicPEMs(t testing.TB) (text string) {
	for _, a := range []Algorithm{RS256, ES256, ES384, ES512, EdDSA} {
		text += publicPEM(t, testKeys()[a].Public())
	}
	return text
}

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
	if private, ok := testKeys()[a]; ok {
		data = privatePEM(t, private)
	}
	k, err := NewSigningKey(data, kid, []string{string(a)})
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

// jwtConfig returns mode jwt with the test secret and without leeway, changed by
// change.
func jwtConfig(change func(*JWTConfig)) Config {
	cfg := DefaultConfig()
	cfg.Mode = ModeJWT
	cfg.JWT.Secret, cfg.JWT.Leeway = testSecret, 0
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
