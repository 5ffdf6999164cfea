package auth

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ConfigError is a value the operator must change.
type ConfigError struct {
	Key, Value, Want string
}

func (e *ConfigError) Error() string {
	return e.Key + ": " + e.Value + " is not allowed, want " + e.Want
}

// Validate reports every bad value at once, a *ConfigError each. It reads no
// files; New does.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, value, want string) {
		errs = append(errs, &ConfigError{"auth." + key, value, want})
	}
	if c.Mode != ModeNone && c.Mode != ModeJWT {
		bad("mode", fmt.Sprintf("%q", c.Mode), `"none" or "jwt"`)
	}
	span := func(key string, d, least, most time.Duration) {
		if d < least || d > most {
			bad(key, d.String(), least.String()+" to "+most.String())
		}
	}
	j := c.JWT
	span("jwt.leeway", j.Leeway, 0, 10*time.Minute)
	span("jwt.jwks_refresh", j.JWKSRefresh, time.Second, 24*time.Hour)
	span("jwt.jwks_retry", j.JWKSRetry, 100*time.Millisecond, time.Hour)
	span("jwt.jwks_timeout", j.JWKSTimeout, 100*time.Millisecond, time.Minute)
	for _, a := range j.Algorithms {
		if !slices.Contains(algorithms, Algorithm(a)) {
			bad("jwt.algorithms", fmt.Sprintf("%q", a), "HS256, RS256, ES256 or EdDSA")
		}
	}
	if j.Secret != "" && j.SecretFile != "" {
		bad("jwt.secret_file", fmt.Sprintf("%q", j.SecretFile), "only one of secret and secret_file")
	}
	if j.PublicKey != "" && j.PublicKeyFile != "" {
		bad("jwt.public_key_file", fmt.Sprintf("%q", j.PublicKeyFile), "only one of public_key and public_key_file")
	}
	if slices.Contains(j.Audience, "") {
		bad("jwt.audience", `""`, "a name")
	}
	if j.JWKSURL != "" {
		u, err := url.Parse(j.JWKSURL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			bad("jwt.jwks_url", "the value", "an https:// URL")
		}
	}
	if c.Mode == ModeJWT && j.Secret == "" && j.SecretFile == "" && j.PublicKey == "" && j.PublicKeyFile == "" && j.JWKSURL == "" {
		bad("jwt", "no key", "secret, secret_file, public_key, public_key_file or jwks_url in mode jwt")
	}
	return errors.Join(errs...)
}

// ValidateListen refuses an address that others than this machine can reach
// when nobody needs a token, unless the operator asked for just that.
func (c Config) ValidateListen(address string) error {
	if c.Mode != ModeNone || c.AllowAnonymous || local(address) {
		return nil
	}
	return &ConfigError{"auth.mode", fmt.Sprintf("%q with listen %q", c.Mode, address),
		`"jwt", a loopback address, or auth.allow_anonymous: true`}
}

// local is true for Unix sockets and loopback addresses. A name counts as local
// only if it is localhost: what another one resolves to can change.
func local(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost"
}
