package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/configerror"
)

// Modes of Config.
const (
	ModeNone = "none"
	ModeJWT  = "jwt"
)

// Config says who may connect. The tags name the keys under "auth" as the
// operator writes them. The zero value is not usable: start from DefaultConfig.
type Config struct {
	// Mode is "none": every client may do everything, or "jwt": every client
	// needs a token.
	Mode string `koanf:"mode"`
	// AllowAnonymous lets mode none listen on an address that is not loopback,
	// and leave keys unused.
	AllowAnonymous bool `koanf:"allow_anonymous"`

	JWT JWTConfig `koanf:"jwt"`
}

// JWTConfig holds the keys that tokens are verified with, at least one of them
// in mode jwt, and the other conditions for a token.
type JWTConfig struct {
	// Secret is shared with those who issue HS256, HS384 or HS512 tokens; 32
	// random bytes or more, or it can be guessed from a token. Behind "base64:"
	// it is in base64.
	Secret string `koanf:"secret"`
	// SecretFile is a file with the secret; one line end after it is cut off.
	SecretFile string `koanf:"secret_file"`
	// PublicKey is one or more PEM blocks, public keys or certificates: RSA
	// for RS and PS, P-256 for ES256, P-384 for ES384, P-521 for ES512, Ed25519
	// for EdDSA. Several allow to change keys without a gap.
	PublicKey string `koanf:"public_key"`
	// PublicKeyFile is a file with the same.
	PublicKeyFile string `koanf:"public_key_file"`

	// JWKSURL is where the issuer publishes its public keys, https:// or,
	// inside a trusted network, http://.
	JWKSURL string `koanf:"jwks_url"`
	// JWKSRefresh is the time between two fetches of the keys. When a fetch
	// fails, the keys of the last one stay.
	JWKSRefresh time.Duration `koanf:"jwks_refresh"`
	// JWKSRetry is the least time between two fetches: a token with an unknown
	// key causes one, but no more often than this.
	JWKSRetry time.Duration `koanf:"jwks_retry"`
	// JWKSTimeout bounds one fetch.
	JWKSTimeout time.Duration `koanf:"jwks_timeout"`

	// Algorithms are the allowed ones; empty allows those that the keys are for.
	Algorithms []string `koanf:"algorithms"`
	// Audience lists the aud values that are accepted; empty accepts any.
	Audience []string `koanf:"audience"`
	// Issuer is the iss value that tokens must have; empty accepts any.
	Issuer string `koanf:"issuer"`
	// Leeway is how far the clocks of issuer and gateway may differ when exp
	// and nbf are compared.
	Leeway time.Duration `koanf:"leeway"`
	// RequireExp refuses tokens that never expire.
	RequireExp bool `koanf:"require_exp"`
}

// DefaultConfig returns the values that configs/gateway.yaml documents.
func DefaultConfig() Config {
	return Config{
		Mode: ModeNone,
		JWT: JWTConfig{
			JWKSRefresh: 5 * time.Minute,
			JWKSRetry:   10 * time.Second,
			JWKSTimeout: 5 * time.Second,
			Leeway:      5 * time.Second,
		},
	}
}

// ConfigError is one key with a value that can't be used: its Key as in the configuration
// file, its Value, empty if it is missing, and what is allowed, Want.
type ConfigError = configerror.Error

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
		errs = append(errs, &ConfigError{Key: "auth." + key, Value: value, Want: want})
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
