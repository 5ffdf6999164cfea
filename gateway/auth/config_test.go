package auth

import (
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDefaultConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string // one for each error
	}{
		"good":      {func(*Config) {}, nil},
		"mode":      {func(c *Config) { c.Mode = "open" }, []string{`auth.mode: "open" is not allowed, want "none" or "jwt"`}},
		"no key":    {func(c *Config) { c.JWT.Secret = "" }, []string{"auth.jwt: missing, want secret, secret_file, public_key, public_key_file or jwks_url in mode jwt"}},
		"leeway":    {func(c *Config) { c.JWT.Leeway = -time.Second }, []string{"auth.jwt.leeway: -1s is not allowed, want 0s to 10m0s"}},
		"algorithm": {func(c *Config) { c.JWT.Algorithms = []string{"HS256", "none"} }, []string{`auth.jwt.algorithms: "none" is not allowed, want HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA`}},
		"secret":    {func(c *Config) { c.JWT.Secret = "base64:c2Vj*mV0" }, []string{"auth.jwt.secret: the text behind base64: is not base64: illegal base64 data at input byte 4"}},
		"audience":  {func(c *Config) { c.JWT.Audience = []string{""} }, []string{`auth.jwt.audience: "" is not allowed, want a name`}},
		"unreadable": {
			func(c *Config) {
				c.JWT.Secret, c.JWT.SecretFile, c.JWT.PublicKey = "", "/nonexistent/secret", "garbage"
			},
			[]string{
				"auth.jwt.secret_file: open /nonexistent/secret: no such file or directory",
				"auth.jwt.public_key: no PEM block in it",
			},
		},
		"keys for something else": {
			func(c *Config) { c.JWT.Algorithms = []string{"HS256", "RS256"} },
			[]string{`auth.jwt.algorithms: "RS256" is not allowed, want algorithms that the given keys are for: [HS256 HS384 HS512]`},
		},
		"unread in mode none": {func(c *Config) { c.Mode, c.JWT.PublicKey = ModeNone, "garbage" }, nil},
		"all at once": {
			func(c *Config) {
				c.JWT.SecretFile, c.JWT.PublicKey, c.JWT.PublicKeyFile, c.JWT.JWKSURL = "a", "b", "c", "ftp://user:pass@host"
				c.JWT.JWKSRefresh, c.JWT.JWKSRetry, c.JWT.JWKSTimeout = 0, 0, 0
			},
			[]string{
				"auth.jwt.jwks_refresh: 0s is not allowed, want 1s to 24h0m0s",
				"auth.jwt.jwks_retry: 0s is not allowed, want 100ms to 1h0m0s",
				"auth.jwt.jwks_timeout: 0s is not allowed, want 100ms to 1m0s",
				`auth.jwt.secret_file: "a" is not allowed, want only one of secret and secret_file`,
				`auth.jwt.public_key_file: "c" is not allowed, want only one of public_key and public_key_file`,
				"auth.jwt.jwks_url: the value is not allowed, want an https:// URL",
				"auth.jwt.public_key: no PEM block in it",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := jwtConfig(nil)
			tt.change(&c)
			got, want := "", strings.Join(tt.want, "\n")
			if err := c.Validate(); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestNewReadsFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	public := publicPEM(t, testKeys()[ES256].Public())
	private := string(privatePEM(t, testKeys()[ES256]))
	for name, tt := range map[string]struct {
		change func(*JWTConfig)
		want   string // in the error; empty for none
	}{
		"secret file":   {func(j *JWTConfig) { j.SecretFile = file("s", testSecret+"\r\n") }, ""},
		"base64 secret": {func(j *JWTConfig) { j.Secret = "base64:" + base64.StdEncoding.EncodeToString([]byte(testSecret)) }, ""},
		"base64 secret file": {func(j *JWTConfig) {
			j.SecretFile = file("b", "base64:"+base64.RawURLEncoding.EncodeToString([]byte(testSecret))+"\n")
		}, ""},
		"no base64":                {func(j *JWTConfig) { j.SecretFile = file("n", "base64:é") }, "auth.jwt.secret_file: the text behind base64: is not base64"},
		"empty base64":             {func(j *JWTConfig) { j.Secret = "base64:" }, "auth.jwt.secret: is empty"},
		"public key file":          {func(j *JWTConfig) { j.PublicKeyFile = file("p", public) }, ""},
		"both":                     {func(j *JWTConfig) { j.Secret, j.PublicKey = testSecret, public }, ""},
		"no such file":             {func(j *JWTConfig) { j.SecretFile = filepath.Join(dir, "none") }, "auth.jwt.secret_file: open "},
		"empty secret":             {func(j *JWTConfig) { j.SecretFile = file("e", "\n") }, "auth.jwt.secret_file: is empty"},
		"public key as secret":     {func(j *JWTConfig) { j.Secret = public }, "auth.jwt.secret: holds a PEM block"},
		"private key":              {func(j *JWTConfig) { j.PublicKey = private }, `auth.jwt.public_key: a PEM block "PRIVATE KEY"`},
		"no PEM":                   {func(j *JWTConfig) { j.PublicKey = "ssh-rsa AAAA" }, "auth.jwt.public_key: no PEM block in it"},
		"broken PEM":               {func(j *JWTConfig) { j.PublicKey = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n" }, "auth.jwt.public_key: "},
		"line ends of two letters": {func(j *JWTConfig) { j.PublicKey = strings.ReplaceAll(public, "\n", `\n`) }, ""},
		"in one line":              {func(j *JWTConfig) { j.PublicKey = strings.ReplaceAll(public, "\n", " ") }, ""},
		"indented, from Windows":   {func(j *JWTConfig) { j.PublicKey = strings.ReplaceAll(public, "\n", "\r\n  ") }, ""},
		"byte order mark":          {func(j *JWTConfig) { j.PublicKeyFile = file("m", "\ufeff"+public) }, ""},
		"with remarks":             {func(j *JWTConfig) { j.PublicKey = "subject=x\n" + public + "\nissuer=y\n" }, ""},
		"one of two broken": {func(j *JWTConfig) {
			j.PublicKey = public + "-----BEGIN PUBLIC KEY-----\nMFkw?\n-----END PUBLIC KEY-----\n"
		},
			"auth.jwt.public_key: 1 of 2 PEM blocks can't be read"},
		"the second cut off": {func(j *JWTConfig) { j.PublicKey = public + public[:80] }, "auth.jwt.public_key: 1 of 2 PEM blocks can't be read"},
		"two wrong": {func(j *JWTConfig) { j.Secret, j.PublicKey = public, "x" },
			"auth.jwt.secret: holds a PEM block, which is no shared secret\nauth.jwt.public_key: no PEM block in it"},
		"algorithm without key": {func(j *JWTConfig) { j.Secret, j.Algorithms = testSecret, []string{"RS256"} },
			`auth.jwt.algorithms: "RS256" is not allowed, want algorithms that the given keys are for: [HS256 HS384 HS512]`},
		"not valid": {func(j *JWTConfig) {}, "auth.jwt: missing"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := New(jwtConfig(func(j *JWTConfig) { j.Secret = ""; tt.change(j) }), channelName, slog.New(slog.DiscardHandler))
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			accepted := 0
			for _, a := range []Algorithm{HS256, ES256} {
				if _, err := v.Verify(mint(t, Claims{}, signingKey(t, a, "")), noon); err == nil {
					accepted++
				}
			}
			if accepted == 0 {
				t.Error("no key verifies")
			}
		})
	}
}

func TestWarnsOfKeysThatNobodyNeeds(t *testing.T) {
	for mode, want := range map[string]bool{ModeNone: true, ModeJWT: false} {
		var log strings.Builder
		c := jwtConfig(nil)
		c.Mode = mode
		if _, err := New(c, channelName, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "auth.mode is none") != want {
			t.Errorf("mode %s: logged %q", mode, log.String())
		}
	}
}

func TestKeySetURL(t *testing.T) {
	for url, want := range map[string]bool{
		"https://id.example/jwks.json": true, "http://127.0.0.1:8000/k": true, "https://[::1]:443/": true,
		"https://": false, "https://:443/": false, "id.example/jwks": false, "https://a:99999/": false, "https://a:0/": false, "https://a,b/": false, "ftp://a/": false,
	} {
		c := jwtConfig(func(j *JWTConfig) { j.JWKSURL = url })
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}
