package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
)

// maxTokenTTL keeps a typing error from making a token for a lifetime; 0 says
// so on purpose.
const maxTokenTTL = 10 * 365 * 24 * time.Hour

// tokenFlags are the flags that are no configuration keys.
type tokenFlags struct {
	sub, subscribe, publish, channels string
	ttl                               time.Duration
	aud, iss                          *string // nil: the configuration's
	keyFile, kid                      string
	check                             string
}

func tokenCommand(keys *pflag.FlagSet) *cobra.Command {
	c, f := &cobra.Command{
		Use:   "token",
		Short: "issue a token for a client (--sub WHO), or check one",
		Long: `Issue a token for a client (--sub WHO), or check one.

Prints a JWT. It is signed with the secret of the configuration (auth.jwt.secret
or auth.jwt.secret_file), or with --key-file: a private key in PEM or a secret.
HS256, RS256, ES256, ES384, ES512 or EdDSA is chosen by the type of the key, and
others by auth.jwt.algorithms: the first one that the key is for.

Patterns: * is one or more bytes up to the next separator, which is . : or /
** at the end is the rest, separators too, and {sub} is the subject, in which =
and two digits stand for what would not fit there: user.auth0=7Cx for auth0|x.
A token without --subscribe may subscribe to its --channels only.

--check says what a token allows, with the subject put in, or why it is refused,
under the keys of the configuration or under --key-file, a public key in PEM or
a secret.`,
	}, &tokenFlags{}
	flags := c.Flags()
	flags.StringVar(&f.sub, "sub", "", "the subject: who the client is")
	flags.StringVar(&f.subscribe, "subscribe", "", "patterns of channels that the client may subscribe to, with commas between")
	flags.StringVar(&f.publish, "publish", "", "patterns of channels that the client may publish to")
	flags.StringVar(&f.channels, "channels", "", "channels that the client is subscribed to at once")
	flags.DurationVar(&f.ttl, "ttl", time.Hour, "how long the token is good; 0 for ever")
	aud := flags.String("aud", "", "the audience (default: the first of auth.jwt.audience)")
	iss := flags.String("iss", "", "the issuer (default: auth.jwt.issuer)")
	flags.StringVar(&f.keyFile, "key-file", "", "the key, instead of the configuration's")
	flags.StringVar(&f.kid, "kid", "", "the name of the key in a JWKS, put into the header")
	flags.StringVar(&f.check, "check", "", "check this token instead; - takes it from standard input")
	valid := func(s settings) error { return s.Auth.Validate() }
	return withConfig(keys, c, keysNamed("auth.jwt."), valid, func(c *cobra.Command, _ []string, l loaded) error {
		if c.Flags().Changed("check") {
			return f.checkToken(c, l.settings.Auth)
		}
		if c.Flags().Changed("aud") {
			f.aud = aud
		}
		if c.Flags().Changed("iss") {
			f.iss = iss
		}
		if f.ttl < 0 || f.ttl > maxTokenTTL || f.ttl > 0 && f.ttl < time.Second {
			return cli.Usagef(c, "--ttl: %v is not allowed, want 1s to %v, or 0", f.ttl, maxTokenTTL)
		}
		token, err := f.issue(l.settings.Auth.JWT, time.Now())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), token)
		return err
	})
}

// issue returns a token that a gateway with this configuration accepts.
func (f *tokenFlags) issue(cfg auth.JWTConfig, now time.Time) (string, error) {
	claims := auth.Claims{
		Subject:   f.sub,
		IssuedAt:  now,
		Issuer:    cfg.Issuer,
		Audience:  cfg.Audience[:min(len(cfg.Audience), 1)],
		Subscribe: auth.SplitList(f.subscribe),
		Publish:   auth.SplitList(f.publish),
		Channels:  auth.SplitList(f.channels),
	}
	if f.iss != nil {
		claims.Issuer = *f.iss
	}
	if f.aud != nil {
		claims.Audience = auth.SplitList(*f.aud)
	}
	if f.ttl > 0 {
		claims.Expires = now.Add(f.ttl)
	}
	if err := claims.Check(message.ValidChannel); err != nil {
		return "", err
	}
	key, err := issuingKey(cfg, f.keyFile, f.kid)
	if err != nil {
		return "", err
	}
	return auth.Mint(claims, key)
}

func issuingKey(cfg auth.JWTConfig, file, kid string) (auth.SigningKey, error) {
	if file == "" {
		key, err := cfg.SigningKey(kid)
		if err != nil {
			return key, fmt.Errorf("no key to sign with (--key-file names one): %w", err)
		}
		return key, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return auth.SigningKey{}, fmt.Errorf("--key-file: %w", err)
	}
	key, err := auth.NewSigningKey(data, kid, cfg.Algorithms)
	if err != nil {
		return key, fmt.Errorf("--key-file %s: %w", file, err)
	}
	return key, nil
}

// checkToken prints what the token allows; the error says why it is refused.
func (f *tokenFlags) checkToken(c *cobra.Command, cfg auth.Config) error {
	token := f.check
	if token == "-" {
		data, err := io.ReadAll(io.LimitReader(c.InOrStdin(), auth.MaxToken+2))
		if err != nil {
			return fmt.Errorf("read the token from standard input: %w", err)
		}
		token = strings.TrimSpace(string(data))
	}
	cfg.Mode = auth.ModeJWT
	if f.keyFile != "" {
		var err error
		if cfg.JWT, err = verifyWith(cfg.JWT, f.keyFile); err != nil {
			return err
		}
	}
	v, err := auth.New(cfg, message.ValidChannel, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := v.Fetch(c.Context()); err != nil {
		return fmt.Errorf("auth.jwt.jwks_url: %w", err)
	}
	g, err := v.Verify([]byte(token), time.Now())
	if err != nil {
		return err
	}
	expires := "never"
	if !g.Expires.IsZero() {
		expires = g.Expires.Add(-cfg.JWT.Leeway).Format(time.RFC3339)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "subject:   %q\nexpires:   %s\nsubscribe: %s\npublish:   %s\nchannels:  %s\n",
		g.Subject, expires, g.Subscribe.For(g.Subject), g.Publish.For(g.Subject), strings.Join(g.Channels, ","))
	return err
}

// verifyWith replaces the configured keys by the key of a file.
func verifyWith(cfg auth.JWTConfig, file string) (auth.JWTConfig, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return cfg, fmt.Errorf("--key-file: %w", err)
	}
	if len(data) == 0 {
		return cfg, errors.New("--key-file: the file is empty")
	}
	cfg.SecretFile, cfg.PublicKeyFile, cfg.JWKSURL, cfg.Algorithms = "", "", "", nil
	cfg.Secret, cfg.PublicKey = string(data), ""
	if strings.Contains(cfg.Secret, "-----BEGIN ") {
		cfg.Secret, cfg.PublicKey = "", cfg.Secret
	}
	return cfg, nil
}
