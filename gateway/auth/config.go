package auth

import "time"

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
// in mode jwt, and what else is asked of a token.
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
