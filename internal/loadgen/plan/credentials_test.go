package plan

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func keyFile(t *testing.T, data []byte) string {
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func privatePEM(t *testing.T, key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestMint(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521Key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file   []byte
		alg    string
		verify any
	}{
		"base64":  {[]byte("base64:_-c=\n"), "HS256", []byte{0xff, 0xe7}},
		"P-521":   {privatePEM(t, p521Key), "ES512", p521Key.Public()},
		"secret":  {[]byte("top secret\r\n"), "HS256", []byte("top secret")},
		"RSA":     {privatePEM(t, rsaKey), "RS256", rsaKey.Public()},
		"P-256":   {privatePEM(t, ecKey), "ES256", ecKey.Public()},
		"Ed25519": {privatePEM(t, edKey), "EdDSA", edKey.Public()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := newMinter(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			m.issuer, m.audience = "us", "them"
			ch, err := ParseChannels("room.%d{3},user.%i", 10)
			if err != nil {
				t.Fatal(err)
			}
			token, err := m.mint(7, &ch, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var c tokenClaims
			if _, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return tt.verify, nil },
				jwt.WithValidMethods([]string{tt.alg}), jwt.WithIssuer("us"), jwt.WithAudience("them"), jwt.WithExpirationRequired()); err != nil {
				t.Fatal(err)
			}
			if c.Subject != "user-7" || fmt.Sprint(c.Subscribe) != "[room.1 user.7]" {
				t.Errorf("subject %q, subscribe %v", c.Subject, c.Subscribe)
			}
		})
	}
}

func TestMintBadKeys(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var public crypto.PublicKey = ecKey.Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file []byte
		want string
	}{
		"empty":       {[]byte("\n"), "is empty"},
		"P-224":       {privatePEM(t, ecKey), "want a key for RSA, P-256, P-384, P-521 or Ed25519"},
		"broken PEM":  {[]byte("-----BEGIN PRIVATE KEY-----\nAA"), "a PEM block that can't be read"},
		"marked":      {[]byte("\ufeffbase64:?"), "is not base64"},
		"no base64":   {[]byte("base64:?"), "is not base64"},
		"public":      {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), `PEM block "PUBLIC KEY"`},
		"not a key":   {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "no private key"},
		"not a file":  {nil, "no such file"},
		"a directory": {nil, "is a directory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := "/no/such/key"
			if name == "a directory" {
				file = t.TempDir()
			} else if tt.file != nil {
				file = keyFile(t, tt.file)
			}
			c := DefaultConfig()
			c.JWTKey = file
			if _, err := New(t.Context(), c, testLimits); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--jwt-key") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
