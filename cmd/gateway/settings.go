package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/address"
)

// settings is the whole configuration of the program: the edge's keys at the
// top level, the broker's under "redis", the logger's under "log".
type settings struct {
	gateway.Config `koanf:",squash"`

	Redis fanout.Config `koanf:"redis"`
	Log   logSettings   `koanf:"log"`
}

// logSettings shape the log on standard error.
type logSettings struct {
	// Level is the least severe record that is written.
	Level string `koanf:"level"`
	// Format is "text", for people, or "json", for collectors.
	Format string `koanf:"format"`
}

// defaultSettings returns the configuration of a gateway without any.
func defaultSettings() settings {
	return settings{
		Config: gateway.DefaultConfig(),
		Redis:  fanout.DefaultConfig(),
		Log:    logSettings{Level: "info", Format: "text"},
	}
}

// validate reports every bad value at once.
func (s settings) validate() error {
	return errors.Join(s.Config.Validate(), s.Redis.Validate(), s.validateEmbedded(), s.Log.validate())
}

// validateEmbedded keeps the embedded Redis from where the gateway listens.
func (s settings) validateEmbedded() error {
	for _, other := range []struct{ key, addr string }{{"listen", s.Listen}, {"admin.listen", s.Admin.Listen}} {
		if s.Redis.URL == "" && address.Overlap(s.Redis.Embedded, other.addr) {
			return &fanout.ConfigError{Key: "redis.embedded", Value: strconv.Quote(s.Redis.Embedded), Want: "another address than " + other.key + ", which is " + other.addr}
		}
	}
	return nil
}

// validatePublish is for publishing, which follows the rules for channels.
func (s settings) validatePublish() error {
	return errors.Join(s.Redis.Validate(), s.ValidateChannels())
}

func (l logSettings) validate() error {
	return errors.Join(
		oneOf("log.level", l.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", l.Format, "text", "json"),
	)
}

// oneOf refuses a value that is not among the allowed ones.
func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	return fmt.Errorf("%s: %q is not allowed, want %s or %s", key, value, strings.Join(allowed[:last], ", "), allowed[last])
}
