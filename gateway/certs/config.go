package certs

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/pushgate/pushgate/internal/address"
	"github.com/pushgate/pushgate/internal/configerror"
)

// Config is the section tls of the configuration. The tags name the keys as the operator writes
// them. The zero value is not usable: start from DefaultConfig.
type Config struct {
	// Listen is host:port of the TLS listener; empty means no TLS, but see Address.
	Listen string `koanf:"listen"`
	// Certificates are chosen by the name that a client asks for; the first one also serves
	// clients that ask for none or an unknown one.
	Certificates []Files `koanf:"certificates"`
	// MinVersion is the oldest version of TLS that clients may use, "1.2" or "1.3".
	MinVersion string `koanf:"min_version"`
	// ClientCAFile holds certificates of authorities in PEM. With it, each client must present a
	// certificate signed by one of them, and needs no token where auth.mode is none.
	ClientCAFile string `koanf:"client_ca_file"`
	// TicketKeyFile holds the keys of session tickets, which the nodes of a fleet share; empty means
	// random keys for each node.
	TicketKeyFile string `koanf:"ticket_key_file"`
	// Handshakes is the most handshakes in progress at once, though at least one for each event loop;
	// each takes about 40 KB.
	Handshakes int `koanf:"handshakes"`
	// SelfSigned makes a certificate at the start, in place of Certificates. It is for development:
	// the listener must be on loopback.
	SelfSigned bool `koanf:"self_signed"`
}

// Files are a certificate, followed by its chain, and its private key, in PEM.
type Files struct {
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

// ConfigError is one key with a value that can't be used: its Key as in the configuration file, its
// Value, empty if it is missing, and the allowed values, Want.
type ConfigError = configerror.Error

// selfSignedAddress is where Config.SelfSigned listens by default.
const selfSignedAddress = "127.0.0.1:8443"

// maxHandshakes would take 2.6 GB.
const maxHandshakes = 1 << 16

// DefaultConfig returns the values that configs/gateway.yaml documents.
func DefaultConfig() Config {
	return Config{MinVersion: "1.2", Handshakes: 1024}
}

// Address is where to listen, empty for no TLS: Listen, or the default for SelfSigned.
func (c Config) Address() string {
	if c.Listen == "" && c.SelfSigned {
		return selfSignedAddress
	}
	return c.Listen
}

// Validate reports everything at once that is wrong with c itself: the error joins one *ConfigError
// for each. Load reports the faults of the files.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, value, want string) {
		errs = append(errs, &ConfigError{Key: "tls." + key, Value: value, Want: want})
	}
	if c.MinVersion != "1.2" && c.MinVersion != "1.3" {
		bad("min_version", strconv.Quote(c.MinVersion), "1.2 or 1.3")
	}
	if c.Handshakes < 1 || c.Handshakes > maxHandshakes {
		bad("handshakes", strconv.Itoa(c.Handshakes), fmt.Sprintf("1 to %d", maxHandshakes))
	}
	for i, f := range c.Certificates {
		if f.CertFile == "" {
			bad(fmt.Sprintf("certificates[%d].cert_file", i), "", "the file with the certificate and its chain")
		}
		if f.KeyFile == "" {
			bad(fmt.Sprintf("certificates[%d].key_file", i), "", "the file with the private key of the certificate")
		}
	}
	c.validateListen(bad)
	return errors.Join(errs...)
}

// validateListen refuses a listener without certificates, and files without a listener.
func (c Config) validateListen(bad func(key, value, want string)) {
	if c.Address() == "" {
		for _, given := range []struct {
			key   string
			given bool
		}{
			{"certificates", len(c.Certificates) > 0}, {"client_ca_file", c.ClientCAFile != ""}, {"ticket_key_file", c.TicketKeyFile != ""},
		} {
			if given.given {
				bad("listen", "", "host:port where tls."+given.key+" is given")
				return
			}
		}
		return
	}
	host, _, err := address.Split(c.Address())
	switch {
	case err != nil:
		bad("listen", strconv.Quote(c.Listen), err.Error()+", or nothing for no TLS")
	case c.SelfSigned && !address.IsLoopback(host):
		bad("listen", strconv.Quote(c.Listen), "a loopback address while tls.self_signed is true")
	}
	switch {
	case c.SelfSigned && len(c.Certificates) > 0:
		bad("self_signed", "true", "false where tls.certificates are given")
	case !c.SelfSigned && len(c.Certificates) == 0:
		bad("certificates", "", "a certificate for tls.listen: [{cert_file: FILE, key_file: FILE}], or tls.self_signed for development")
	}
}
