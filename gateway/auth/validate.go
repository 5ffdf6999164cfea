package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ConfigError is a value the operator must change; an empty one is missing.
type ConfigError struct {
	Key, Value, Want string
}

func (e *ConfigError) Error() string {
	if e.Value == "" {
		return e.Key + ": missing, want " + e.Want
	}
	return e.Key + ": " + e.Value + " is not allowed, want " + e.Want
}

// Validate reports everything at once that New would refuse: a *ConfigError for
// each bad value, and why a key can't be read. It reads the key files.
func (c Config) Validate() error {
	_, err := c.keys()
	return err
}

// keys validates the configuration and returns the keys that it has, with the
// JWKS URL's still to come. There are none in mode none.
func (c Config) keys() (*keySet, error) {
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
			bad("jwt.algorithms", fmt.Sprintf("%q", a), algorithmNames())
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
		if !isWebURL(j.JWKSURL) {
			bad("jwt.jwks_url", "the value", "an https:// URL")
		}
	}
	if c.Mode == ModeJWT && !j.HasKey() {
		bad("jwt", "", "secret, secret_file, public_key, public_key_file or jwks_url in mode jwt")
	}
	if c.Mode != ModeJWT {
		return &keySet{}, errors.Join(errs...)
	}
	static, unreadable := j.staticKeys()
	errs = append(errs, unreadable...)
	keys := &keySet{keys: static, remote: j.JWKSURL != ""}
	for usable, i := keys.allowed(), 0; i < len(j.Algorithms) && len(errs) == 0; i++ {
		if a := j.Algorithms[i]; !slices.Contains(usable, Algorithm(a)) {
			bad("jwt.algorithms", fmt.Sprintf("%q", a), fmt.Sprintf("algorithms that the given keys are for: %v", usable))
		}
	}
	return keys, errors.Join(errs...)
}

// HasKey reports whether there is anything to verify tokens with.
func (j JWTConfig) HasKey() bool {
	return j.Secret != "" || j.SecretFile != "" || j.PublicKey != "" || j.PublicKeyFile != "" || j.JWKSURL != ""
}

// isWebURL reports whether something can be fetched from a URL by its form.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(u.Host, ", ") {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port > 0
}
