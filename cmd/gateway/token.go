package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
)

// maxTokenTTL keeps a typing error from making a token for a lifetime; 0 says
// so on purpose.
const maxTokenTTL = 10 * 365 * 24 * time.Hour

func tokenCommand() command {
	return command{
		name:    "token",
		args:    "--sub WHO",
		summary: "issue a token for a client, or check one",
		help: `
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
		keys:  tokenKeys,
		flags: tokenFlags,
		exec:  runToken,
	}
}

// tokenKeys are the ones that tokens are verified with.
func tokenKeys(k key) bool { return strings.HasPrefix(k.name, "auth.jwt.") }

func tokenFlags(fs *pflag.FlagSet) {
	fs.String("sub", "", "the subject: who the client is")
	fs.String("subscribe", "", "patterns of channels that the client may subscribe to, with commas between")
	fs.String("publish", "", "patterns of channels that the client may publish to")
	fs.String("channels", "", "channels that the client is subscribed to at once")
	fs.Duration("ttl", time.Hour, "how long the token is good; 0 for ever (default 1h)")
	fs.String("aud", "", "the audience (default: the first of auth.jwt.audience)")
	fs.String("iss", "", "the issuer (default: auth.jwt.issuer)")
	fs.String("key-file", "", "the key, instead of the configuration's")
	fs.String("kid", "", "the name of the key in a JWKS, put into the header")
	fs.String("check", "", "check this token instead; - takes it from standard input")
}

func runToken(ctx context.Context, std stdio, fs *pflag.FlagSet) error {
	if err := noArgs("token", fs); err != nil {
		return err
	}
	l, err := load(fs, func(s settings) error { return s.Auth.Validate() })
	if err != nil {
		return err
	}
	if fs.Changed("check") {
		return checkToken(ctx, std, l.settings.Auth, fs)
	}
	return issueToken(std.out, l.settings.Auth.JWT, fs, time.Now())
}

// issueToken prints a token that a gateway with this configuration accepts.
func issueToken(w io.Writer, cfg auth.JWTConfig, fs *pflag.FlagSet, now time.Time) error {
	text := func(name string) string { s, _ := fs.GetString(name); return s }
	claims := auth.Claims{
		Subject:   text("sub"),
		IssuedAt:  now,
		Issuer:    text("iss"),
		Subscribe: auth.SplitList(text("subscribe")),
		Publish:   auth.SplitList(text("publish")),
		Channels:  auth.SplitList(text("channels")),
	}
	if !fs.Changed("iss") {
		claims.Issuer = cfg.Issuer
	}
	if fs.Changed("aud") {
		claims.Audience = auth.SplitList(text("aud"))
	} else if len(cfg.Audience) > 0 {
		claims.Audience = cfg.Audience[:1]
	}
	switch ttl, _ := fs.GetDuration("ttl"); {
	case ttl < 0 || ttl > maxTokenTTL || ttl > 0 && ttl < time.Second:
		return usageError{command: "token", text: fmt.Sprintf("--ttl: %v is not allowed, want 1s to %v, or 0", ttl, maxTokenTTL)}
	case ttl > 0:
		claims.Expires = now.Add(ttl)
	}
	if err := claims.Check(message.ValidChannel); err != nil {
		return err
	}
	key, err := issuingKey(cfg, text("key-file"), text("kid"))
	if err != nil {
		return err
	}
	token, err := auth.Mint(claims, key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, token)
	return err
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
func checkToken(ctx context.Context, std stdio, cfg auth.Config, fs *pflag.FlagSet) error {
	token, _ := fs.GetString("check")
	if token == "-" {
		data, err := io.ReadAll(io.LimitReader(std.in, auth.MaxToken+2))
		if err != nil {
			return fmt.Errorf("read the token from standard input: %w", err)
		}
		token = strings.TrimSpace(string(data))
	}
	cfg.Mode = auth.ModeJWT
	if file, _ := fs.GetString("key-file"); file != "" {
		var err error
		if cfg.JWT, err = verifyWith(cfg.JWT, file); err != nil {
			return err
		}
	}
	v, err := auth.New(cfg, message.ValidChannel, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := v.Fetch(ctx); err != nil {
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
	_, err = fmt.Fprintf(std.out, "subject:   %q\nexpires:   %s\nsubscribe: %s\npublish:   %s\nchannels:  %s\n",
		g.Subject, expires, g.Subscribe.For(g.Subject), g.Publish.For(g.Subject), strings.Join(g.Channels, ","))
	return err
}

// verifyWith puts the key of a file in the place of the configured ones.
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
