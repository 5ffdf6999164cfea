package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMintVerifies(t *testing.T) {
	all := testVerifier(t, jwtConfig(func(j *JWTConfig) {
		j.Audience, j.Issuer, j.RequireExp = []string{"push"}, "me", true
		j.PublicKey = publicPEMs(t)
	}))
	c := Claims{
		Subject: "bob", Issuer: "me", Audience: []string{"push"},
		IssuedAt: noon, NotBefore: noon, Expires: noon.Add(time.Minute),
		Subscribe: []string{"news", "user.{sub}"}, Publish: []string{"chat.*"}, Channels: []string{"news"},
	}
	for _, a := range algorithms {
		t.Run(string(a), func(t *testing.T) {
			g, err := all.Verify(mint(t, c, signingKey(t, a, "")), noon)
			if err != nil {
				t.Fatal(err)
			}
			if g.Subject != "bob" || !g.Expires.Equal(c.Expires) || g.Subscribe.For("") != "news,user.{sub}" ||
				g.Publish.For("") != "chat.*" || !slices.Equal(g.Channels, c.Channels) {
				t.Errorf("got %+v", g)
			}
			for name, at := range map[string]struct {
				now  time.Time
				want Reason
			}{"before": {noon.Add(-1), ReasonNotYet}, "last": {c.Expires.Add(-1), ""}, "after": {c.Expires, ReasonExpired}} {
				if _, err := all.Verify(mint(t, c, signingKey(t, a, "")), at.now); reasonOf(t, err) != at.want {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestNewSigningKey(t *testing.T) {
	block := func(kind string, der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	r, e := testKeys()[RS256].(*rsa.PrivateKey), testKeys()[ES256].(*ecdsa.PrivateKey)
	ec, ecErr := x509.MarshalECPrivateKey(e)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r), nil)
	for name, tt := range map[string]struct {
		data    []byte
		allowed []string
		want    string // empty: refused
	}{
		"secret":          {[]byte("s"), nil, "HS256"},
		"longer hash":     {[]byte("s"), []string{"RS256", "HS512", "HS256"}, "HS512"},
		"base64":          {[]byte("base64:c2VjcmV0\n"), nil, "HS256"},
		"PKCS 1":          {pkcs1, nil, "RS256"},
		"PSS":             {pkcs1, []string{"ES256", "PS384"}, "PS384"},
		"none of allowed": {pkcs1, []string{"HS256"}, "RS256"},
		"SEC 1":           {block("EC PRIVATE KEY", ec, ecErr), nil, "ES256"},
		"P-384":           {privatePEM(t, testKeys()[ES384]), []string{"ES256"}, "ES384"},
		"P-521":           {privatePEM(t, testKeys()[ES512]), nil, "ES512"},
		"PKCS 8":          {privatePEM(t, testKeys()[EdDSA]), nil, "EdDSA"},
		"empty":           {nil, nil, ""},
		"line end":        {[]byte("\n"), nil, ""},
		"no base64":       {[]byte("base64:c2Vj!"), nil, ""},
		"public":          {[]byte(publicPEM(t, r.Public())), nil, ""},
		"other curve":     {privatePEM(t, p224), nil, ""},
		"broken":          {block("PRIVATE KEY", []byte("x"), nil), nil, ""},
		"cut off":         {privatePEM(t, r)[:100], nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := NewSigningKey(tt.data, "", tt.allowed)
			got := ""
			if err == nil {
				got = k.method.Alg()
			}
			if got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	if _, err := Mint(Claims{}, SigningKey{}); err == nil {
		t.Error("the zero key signs")
	}
}

func TestConfigSigningKey(t *testing.T) {
	cfg := jwtConfig(nil)
	k, err := cfg.JWT.SigningKey("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testVerifier(t, cfg).Verify(mint(t, Claims{}, k), noon); err != nil {
		t.Error(err)
	}
	for name, j := range map[string]JWTConfig{
		"none":         {},
		"PEM":          {Secret: publicPEM(t, testKeys()[RS256].Public())},
		"no such file": {SecretFile: "/nonexistent"},
	} {
		if _, err := j.SigningKey(""); err == nil {
			t.Errorf("%s: got a key", name)
		}
	}
}

func TestClaimsCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		claims Claims
		ok     bool
	}{
		"empty":     {Claims{}, true},
		"full":      {Claims{Subject: "bob", Subscribe: []string{"user.{sub}"}, Channels: []string{"a"}, Expires: noon}, true},
		"pattern":   {Claims{Publish: []string{"a**b"}}, false},
		"channel":   {Claims{Channels: []string{"a.*"}}, false},
		"template":  {Claims{Subject: "bob.x", Subscribe: []string{"user.{sub}"}}, true},
		"no room":   {Claims{Subject: strings.Repeat(".", 67), Subscribe: []string{"{sub}"}}, false},
		"anonymous": {Claims{Subscribe: []string{"user.{sub}"}}, false},
		"too many":  {Claims{Subscribe: make([]string, maxEntries+1)}, false},
		"subject":   {Claims{Subject: string(make([]byte, maxSubject+1))}, false},
		"empty one": {Claims{Subscribe: []string{""}}, false},
	} {
		if err := tt.claims.Check(channelName); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
