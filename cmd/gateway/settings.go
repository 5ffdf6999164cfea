package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/certs"
)

// settings is the whole configuration of the program: the gateway's keys at the
// top level, the logger's under "log".
type settings struct {
	gateway.Config `koanf:",squash"`

	Log logSettings `koanf:"log"`
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
		Log:    logSettings{Level: "info", Format: "text"},
	}
}

// validate reports every bad value at once, and everything wrong with the files of certificates.
func (s settings) validate() error {
	_, err := s.certificates()
	return errors.Join(s.validateValues(), err)
}

// validateValues is for commands that look at the files themselves.
func (s settings) validateValues() error {
	return errors.Join(s.Config.Validate(), s.Log.validate())
}

// certificates reads the files of certificates; nil if the section itself is wrong, which
// validateValues reports.
func (s settings) certificates() (*certs.Set, error) {
	if s.TLS.Validate() != nil {
		return nil, nil
	}
	return certs.Load(s.TLS)
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
