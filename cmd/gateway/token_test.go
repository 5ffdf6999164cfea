package main

import (
	"log/slog"
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
		flags tokenFlags
		want  auth.Reason // empty: accepted
		at    time.Time
	}{
		"defaults":         {flags: tokenFlags{ttl: time.Hour}, at: now},
		"last second":      {flags: tokenFlags{ttl: time.Hour}, at: now.Add(time.Hour + cfg.JWT.Leeway - 1)},
		"after an hour":    {flags: tokenFlags{ttl: time.Hour}, at: now.Add(time.Hour + cfg.JWT.Leeway), want: auth.ReasonExpired},
		"shorter":          {flags: tokenFlags{ttl: 10 * time.Second}, at: now.Add(10*time.Second + cfg.JWT.Leeway), want: auth.ReasonExpired},
		"other audience":   {flags: tokenFlags{ttl: time.Hour, aud: new("other")}, at: now},
		"unknown audience": {flags: tokenFlags{ttl: time.Hour, aud: new("web")}, at: now, want: auth.ReasonAudience},
		"unknown issuer":   {flags: tokenFlags{ttl: time.Hour, iss: new("me")}, at: now, want: auth.ReasonIssuer},
		"for ever":         {at: now, want: auth.ReasonClaims},
	} {
		t.Run(name, func(t *testing.T) {
			f := tt.flags
			f.sub, f.subscribe = "u", "news,user.{sub}"
			token, err := f.issue(cfg.JWT, now)
			if err != nil {
				t.Fatal(err)
			}
			g, err := v.Verify([]byte(token), tt.at)
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
