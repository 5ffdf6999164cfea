package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
)

// TestIssueToken issues with a configuration and verifies with the same.
func TestIssueToken(t *testing.T) {
	now := time.Unix(1_750_000_000, 0)
	cfg := auth.DefaultConfig()
	cfg.Mode = auth.ModeJWT
	cfg.JWT.Secret = "0123456789abcdef0123456789abcdef"
	cfg.JWT.Audience = []string{"push", "other"}
	cfg.JWT.Issuer = "https://issuer.example"
	cfg.JWT.RequireExp = true
	v, err := auth.New(cfg, message.ValidChannel, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want auth.Reason // empty: accepted
		at   time.Time
	}{
		"defaults":         {args: nil, at: now},
		"last second":      {args: nil, at: now.Add(time.Hour + cfg.JWT.Leeway - 1)},
		"after an hour":    {args: nil, at: now.Add(time.Hour + cfg.JWT.Leeway), want: auth.ReasonExpired},
		"shorter":          {args: []string{"--ttl", "10s"}, at: now.Add(10*time.Second + cfg.JWT.Leeway), want: auth.ReasonExpired},
		"other audience":   {args: []string{"--aud", "other"}, at: now},
		"unknown audience": {args: []string{"--aud", "web"}, at: now, want: auth.ReasonAudience},
		"unknown issuer":   {args: []string{"--iss", "me"}, at: now, want: auth.ReasonIssuer},
		"for ever":         {args: []string{"--ttl", "0"}, at: now, want: auth.ReasonClaims},
	} {
		t.Run(name, func(t *testing.T) {
			fs := tokenCommand().flagSet()
			if err := fs.Parse(append(tt.args, "--sub", "u", "--subscribe", "news,user.{sub}")); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := issueToken(&out, cfg.JWT, fs, now); err != nil {
				t.Fatal(err)
			}
			g, err := v.Verify([]byte(strings.TrimSpace(out.String())), tt.at)
			if tt.want != "" {
				if refused, ok := err.(*auth.Error); !ok || refused.Reason != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if g.Subject != "u" || !g.MaySubscribe("user.u") || g.MaySubscribe("user.v") || g.MayPublish("news") {
				t.Errorf("got %+v", g)
			}
		})
	}
}
