package certs

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	pair := []Files{{"a.pem", "a.key"}}
	for name, test := range map[string]struct {
		change func(c *Config)
		want   []string // beginning of each error
	}{
		"no TLS":                {func(c *Config) {}, nil},
		"a certificate":         {func(c *Config) { c.Listen, c.Certificates = ":443", pair }, nil},
		"self-signed":           {func(c *Config) { c.SelfSigned = true }, nil},
		"self-signed, by name":  {func(c *Config) { c.Listen, c.SelfSigned = "localhost:0", true }, nil},
		"self-signed for all":   {func(c *Config) { c.Listen, c.SelfSigned = ":8443", true }, []string{`tls.listen: ":8443" is not allowed, want a loopback address while tls.self_signed is true`}},
		"self-signed and files": {func(c *Config) { c.SelfSigned, c.Certificates = true, pair }, []string{`tls.self_signed: true is not allowed, want false where tls.certificates are given`}},
		"no certificate":        {func(c *Config) { c.Listen = ":443" }, []string{`tls.certificates: missing, want a certificate for tls.listen: [{cert_file: FILE`}},
		"a socket":              {func(c *Config) { c.Listen, c.Certificates = "unix:/run/tls.sock", pair }, []string{`tls.listen: "unix:/run/tls.sock" is not allowed, want host:port`}},
		"no listener":           {func(c *Config) { c.Certificates = pair }, []string{`tls.listen: missing, want host:port where tls.certificates is given`}},
		"only ticket keys":      {func(c *Config) { c.TicketKeyFile = "a" }, []string{`tls.listen: missing, want host:port where tls.ticket_key_file is given`}},
		"only authorities":      {func(c *Config) { c.ClientCAFile = "a" }, []string{`tls.listen: missing, want host:port where tls.client_ca_file is given`}},
		"incomplete": {func(c *Config) { c.Listen, c.Certificates = ":443", []Files{{"a", ""}, {"", "a"}} },
			[]string{`tls.certificates[0].key_file: missing`, `tls.certificates[1].cert_file: missing`}},
		"an old version": {func(c *Config) { c.MinVersion = "1.1" }, []string{`tls.min_version: "1.1" is not allowed, want 1.2 or 1.3`}},
		"no handshakes":  {func(c *Config) { c.Handshakes = 0 }, []string{`tls.handshakes: 0 is not allowed, want 1 to 65536`}},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			test.change(&c)
			err := c.Validate()
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if err != nil && !errors.As(err, new(*ConfigError)) {
				t.Errorf("%T holds no *ConfigError", err)
			}
			if test.want == nil && (c.Address() == "") != (name == "no TLS") {
				t.Errorf("listens on %q", c.Address())
			}
		})
	}
	if _, err := Load(Config{}); err == nil {
		t.Error("Load took an invalid configuration")
	}
}
