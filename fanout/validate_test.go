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
		"max lingering":  {func(c *Config) { c.MaxLingering = -1 }, "redis.max_lingering: -1 is not allowed"},
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

// go-redis takes all of these, and none can be meant.
func TestValidateURL(t *testing.T) {
	for url, want := range map[string]string{ // nothing: it is fine
		"redis://h:6379":                              "",
		"redis://h/3":                                 "",
		"redis://:p@h":                                "",
		"redis://u:p%23@h":                            "",
		"redis://[::1]:6379":                          "",
		"unix:///run/redis.sock?db=1":                 "",
		"redis+cluster://h:1?addr=h2:2":               "",
		"redis+sentinel://h:1?master_name=m":          "",
		"redis://h1,h2":                               "one host; several are redis+sentinel",
		"redis://h1:6379,h2:6379":                     "one host; several",
		"redis+cluster://h1:1,h2:2":                   "one host; several",
		"redis+sentinel://h1:1,h2:2?master_name=m":    "one host; several",
		"redis://":                                    "a host",
		"redis://:6379":                               "a host",
		"redis://h:99999":                             "a port from 1 to 65535",
		"redis://h:0":                                 "a port from 1 to 65535",
		"redis://password@h":                          "user:password@ before the host",
		"redis://u:12#4@h":                            "# written as %23",
		"unix://run/redis.sock":                       "unix:///path with three slashes",
		"redis://h/1?db=2":                            "the database once",
		"redis://h?db=2":                              "",
		"redis+cluster://h:1/3":                       "no database behind the host",
		"redis+cluster://h:1?addr=h2:2,h3:3":          "redis://host:port",
		"redis+sentinel://h:1?master_name=m&addr=h2:": "redis://host:port",
	} {
		c := DefaultConfig()
		c.URL = url
		err := c.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), "want "+want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	for embedded, want := range map[string]string{"*:6380": `":6380"`, "127.0.0.1:66666": "host:port with a port", "a b:1": "host:port with the name"} {
		c := DefaultConfig()
		c.Embedded = embedded
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "want "+want) {
			t.Errorf("%s: %v", embedded, err)
		}
	}
}
