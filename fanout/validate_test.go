package fanout

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	tests := map[string]struct {
		change func(*Config)
		want   string // the error begins with it
	}{
		"url":            {func(c *Config) { c.URL = "http://x" }, `redis.url: "http://x" is not allowed, want redis://`},
		"prefix":         {func(c *Config) { c.Prefix = "a b" }, `redis.prefix: "a b" is not allowed, want at most 64`},
		"prefix braces":  {func(c *Config) { c.Prefix = "{a}" }, `redis.prefix: "{a}" is not allowed`},
		"embedded":       {func(c *Config) { c.Embedded = "6380" }, `redis.embedded: "6380" is not allowed, want host:port`},
		"connections":    {func(c *Config) { c.Connections = 0 }, "redis.connections: 0 is not allowed, want 1 to 64"},
		"linger":         {func(c *Config) { c.Linger = -1 }, "redis.linger: -1ns is not allowed, want 1ms to 24h0m0s"},
		"probe interval": {func(c *Config) { c.ProbeInterval = time.Hour }, "redis.probe_interval: 1h0m0s is not allowed, want 10ms to 1m0s"},
		"replay":         {func(c *Config) { c.ReplayMessages = 0 }, "redis.replay_messages: 0 is not allowed, want 1 to 1000000"},
		"ring messages":  {func(c *Config) { c.Ring.Messages = -1 }, "redis.ring.messages: -1 is not allowed, want 1 to 65536"},
		"ring bytes":     {func(c *Config) { c.Ring.Bytes = 0 }, "redis.ring.bytes: 0 is not allowed"},
		"ring age":       {func(c *Config) { c.Ring.Age = 0 }, "redis.ring.age: 0s is not allowed"},
		"ring total":     {func(c *Config) { c.Ring.TotalBytes = 0 }, "redis.ring.total_bytes: 0 is not allowed"},
	}
	everything := DefaultConfig()
	for name, test := range tests {
		c := DefaultConfig()
		test.change(&c)
		test.change(&everything)
		err := c.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if n := strings.Count(everything.Validate().Error(), "\n") + 1; n < 10 {
		t.Errorf("%d errors at once, want all", n)
	}
}

func TestValidateHidesThePassword(t *testing.T) {
	for _, url := range []string{"redis://u:secret@host:1/x", "http://u:secret@host", "redis://u:secret@ho\x7fst"} {
		c := DefaultConfig()
		c.URL = url
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
