package auth

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are the content of a token for Mint. Zero values are left out.
type Claims struct {
	Subject, Issuer              string
	Audience                     []string
	IssuedAt, NotBefore, Expires time.Time // in whole seconds
	Subscribe, Publish, Channels []string
}

// SigningKey issues tokens of one algorithm.
type SigningKey struct {
	method   jwt.SigningMethod
	material any
	id       string
}

// NewSigningKey takes a private key in PEM or else a shared secret, as
// JWTConfig.Secret has it. It signs with the first of the allowed algorithms
// that the key is for, and without one with the usual one for its type. The kid
// goes into the header unless it is empty.
func NewSigningKey(data []byte, kid string, allowed []string) (SigningKey, error) {
	block, _ := pem.Decode(pemLines(data))
	if block == nil {
		secret, err := parseSecret(data)
		return SigningKey{signingMethod(secretAlgorithms, allowed), secret, kid}, err
	}
	private, err := parsePrivate(block)
	if err != nil {
		return SigningKey{}, err
	}
	suited, err := algorithmsFor(private.Public())
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{signingMethod(suited, allowed), private, kid}, nil
}

func signingMethod(suited []Algorithm, allowed []string) jwt.SigningMethod {
	for _, name := range allowed {
		if a := Algorithm(name); slices.Contains(suited, a) {
			return methods[a]
		}
	}
	return methods[suited[0]]
}

func parsePrivate(block *pem.Block) (crypto.Signer, error) {
	switch block.Type {
	case "PRIVATE KEY":
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		signer, ok := k.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a key of type %T, want RSA, P-256, P-384, P-521 or Ed25519", k)
		}
		return signer, nil
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("a PEM block %q, want PRIVATE KEY", block.Type)
}

// SigningKey returns the key that tokens for this configuration are issued
// with, if it holds a shared secret: public keys can't sign. The kid goes into
// the header unless it is empty.
func (j JWTConfig) SigningKey(kid string) (SigningKey, error) {
	name, secret, err := inlineOrFile("secret", j.Secret, j.SecretFile)
	if err == nil && name == "" {
		return SigningKey{}, errors.New("no auth.jwt.secret or auth.jwt.secret_file in the configuration")
	}
	if err == nil {
		secret, err = parseSecret(secret)
	}
	if err != nil {
		return SigningKey{}, fmt.Errorf("auth.jwt.%s: %w", name, err)
	}
	return SigningKey{signingMethod(secretAlgorithms, j.Algorithms), secret, kid}, nil
}

// wireClaims is Claims as JSON has it.
type wireClaims struct {
	jwt.RegisteredClaims
	Subscribe []string `json:"subscribe,omitempty"`
	Publish   []string `json:"publish,omitempty"`
	Channels  []string `json:"channels,omitempty"`
}

func (c Claims) wire() wireClaims {
	w := wireClaims{Subscribe: c.Subscribe, Publish: c.Publish, Channels: c.Channels}
	w.Subject, w.Issuer, w.Audience = c.Subject, c.Issuer, c.Audience
	for _, date := range []struct {
		to   **jwt.NumericDate
		from time.Time
	}{{&w.IssuedAt, c.IssuedAt}, {&w.NotBefore, c.NotBefore}, {&w.ExpiresAt, c.Expires}} {
		if !date.from.IsZero() {
			*date.to = jwt.NewNumericDate(date.from)
		}
	}
	return w
}

// Check returns the error with which every verifier would refuse a token with
// these claims, whatever it asks of times, audience and issuer, or why one of
// their entries would grant nothing.
func (c Claims) Check(channelName func(name string) error) error {
	payload, err := json.Marshal(c.wire())
	if err != nil {
		return err
	}
	var parsed claims
	if err := parsed.parse(payload); err != nil {
		return err
	}
	if _, err := newVerifier(channelName).grant(&parsed, time.Time{}); err != nil {
		return err
	}
	for _, text := range slices.Concat(c.Subscribe, c.Publish, c.Channels) {
		own := fill(text, c.Subject)
		if err := channelName(wildcards.Replace(own)); err != nil {
			return fmt.Errorf("%q grants nothing: %w", own, err)
		}
	}
	return nil
}

// Mint returns the signed token. It doesn't judge the claims; Check does.
func Mint(c Claims, k SigningKey) (string, error) {
	if k.method == nil {
		return "", errors.New("no key to sign with")
	}
	token := jwt.NewWithClaims(k.method, c.wire())
	if k.id != "" {
		token.Header["kid"] = k.id
	}
	signed, err := token.SignedString(k.material)
	if err == nil && len(signed) > MaxToken {
		return "", fmt.Errorf("the token has %d bytes, want at most %d", len(signed), MaxToken)
	}
	return signed, err
}
