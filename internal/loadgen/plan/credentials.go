package plan

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenLife is how long a client's token is good; a poll gets a new one with
// each request.
const tokenLife = 24 * time.Hour

// minter signs a token for each client: the subject user-<number>, allowed to
// subscribe to that client's channels.
type minter struct {
	method   jwt.SigningMethod
	key      any
	issuer   string
	audience string
}

// tokenClaims are the wire's claims that a subscriber needs.
type tokenClaims struct {
	jwt.RegisteredClaims
	Subscribe []string `json:"subscribe"`
}

// readKey reads the file of a key.
func readKey(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", errors.Unwrap(err))
	}
	return data, nil
}

// newMinter reads a key: a private key in PEM, whose type chooses RS256, ES256,
// ES384, ES512 or EdDSA, or any other bytes as the secret for HS256, which are
// read as the gateway reads them: less a byte order mark and one line end, and
// behind base64: in it.
func newMinter(data []byte) (*minter, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	block, _ := pem.Decode(data)
	if block == nil {
		if bytes.Contains(data, []byte("-----BEGIN ")) {
			return nil, errors.New("holds a PEM block that can't be read")
		}
		secret := bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
		if text, ok := strings.CutPrefix(string(secret), "base64:"); ok {
			text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "=\r\n "))
			var err error
			if secret, err = base64.RawStdEncoding.DecodeString(text); err != nil {
				return nil, fmt.Errorf("what stands behind base64: is not base64: %w", err)
			}
		}
		if len(secret) == 0 {
			return nil, errors.New("is empty, want the gateway's secret or a private key in PEM")
		}
		return &minter{method: jwt.SigningMethodHS256, key: secret}, nil
	}
	key, err := parsePrivate(block)
	if err != nil {
		return nil, fmt.Errorf("no private key: %w", err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return &minter{method: jwt.SigningMethodRS256, key: k}, nil
	case ed25519.PrivateKey:
		return &minter{method: jwt.SigningMethodEdDSA, key: k}, nil
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return &minter{method: jwt.SigningMethodES256, key: k}, nil
		case elliptic.P384():
			return &minter{method: jwt.SigningMethodES384, key: k}, nil
		case elliptic.P521():
			return &minter{method: jwt.SigningMethodES512, key: k}, nil
		}
	}
	return nil, errors.New("want a key for RSA, P-256, P-384, P-521 or Ed25519")
}

func parsePrivate(block *pem.Block) (any, error) {
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("the file holds a PEM block %q", block.Type)
}

// mint returns a client's token.
func (m *minter) mint(client uint32, channels *Channels, now time.Time) (string, error) {
	c := tokenClaims{Subscribe: make([]string, channels.PerClient())}
	c.Subject = fmt.Sprintf("user-%d", client)
	c.Issuer = m.issuer
	if m.audience != "" {
		c.Audience = jwt.ClaimStrings{m.audience}
	}
	c.IssuedAt, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(tokenLife))
	for k := range c.Subscribe {
		c.Subscribe[k] = string(channels.AppendName(nil, channels.Of(client, k)))
	}
	return jwt.NewWithClaims(m.method, c).SignedString(m.key)
}

// readTokens reads --jwt-key and signs a token to see that it can.
func (p *Plan) readTokens(u *Problems) {
	var err error
	if p.KeyData == nil {
		p.KeyData, err = readKey(p.JWTKey)
	}
	if err == nil {
		p.minter, err = newMinter(p.KeyData)
	}
	if err == nil {
		p.minter.issuer, p.minter.audience = p.JWTIssuer, p.JWTAudience
		_, err = p.minter.mint(0, new(Channels), time.Now())
	}
	if err != nil {
		u.Add("--jwt-key", p.JWTKey, "%v", err)
	}
}

// serverName is the name in the certificate: the host of --url, or the value of a
// Host field in its place.
func (p *Plan) serverName() string {
	for _, field := range p.Headers {
		if name, host, _ := strings.Cut(field, ":"); strings.EqualFold(name, "host") {
			u := url.URL{Host: strings.TrimSpace(host)}
			return u.Hostname()
		}
	}
	return p.Target.name
}

// secureConfig says how the target's certificate is checked. Nil: the target is
// not TLS.
func (p *Plan) secureConfig(u *Problems) *tls.Config {
	c, err := p.TLSConfig()
	switch secure := p.Target.Secure || p.publishesSecurely(); {
	case !secure && p.CA != "":
		u.Add("--ca", p.CA, "only wss:// and https:// have certificates")
	case !secure && p.Insecure:
		u.Add("--insecure", "", "only wss:// and https:// have certificates")
	case p.CA != "" && p.Insecure:
		u.Add("--insecure", "", "checks no certificate; leave out --ca, or this")
	case err != nil:
		u.Add("--ca", p.CA, "%v", err)
	}
	if !p.Target.Secure || err != nil {
		return nil
	}
	c.ServerName, c.NextProtos = p.serverName(), []string{"http/1.1"}
	return c
}

// TLSConfig reads --ca and --insecure, once.
func (c *Config) TLSConfig() (*tls.Config, error) {
	t := &tls.Config{InsecureSkipVerify: c.Insecure}
	if c.CA == "" {
		return t, nil
	}
	if c.CAData == nil {
		var err error
		if c.CAData, err = readKey(c.CA); err != nil {
			return nil, err
		}
	}
	if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(c.CAData) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return t, nil
}
