package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// Set is what the files of a configuration held when they were read. It is immutable and safe for
// concurrent use.
type Set struct {
	pairs       []pair
	authorities []*x509.Certificate // of clients
	config      *tls.Config
	files       []readFile
}

// pair is a certificate with its key and its place in the configuration.
type pair struct {
	place string // "tls.certificates[0]", or "tls.self_signed"
	file  string // empty if self-signed
	cert  *tls.Certificate
	chain []*x509.Certificate // the certificates of the file, in its order
}

func (p *pair) leaf() *x509.Certificate { return p.chain[0] }

// key returns the key of the configuration that names the certificate.
func (p *pair) key() string {
	if p.file == "" {
		return p.place
	}
	return p.place + ".cert_file"
}

// Certificate describes a certificate, for logs and metrics.
type Certificate struct {
	// Key is where the configuration names it: tls.certificates[0].cert_file or tls.self_signed.
	Key string
	// Name is the first DNS name or IP address, or the subject.
	Name string
	// Names are all DNS names and IP addresses that it is for.
	Names []string
	// NotBefore and NotAfter are when it begins to be valid, and when it expires.
	NotBefore, NotAfter time.Time
	// KeyType is the type and size of its key, such as "ECDSA P-256" or "RSA 2048".
	KeyType string
	// Fingerprint is the SHA-256 of the certificate, in hex.
	Fingerprint string
	// DER is the certificate itself. It must not be changed.
	DER []byte
}

// Address returns where clients connect to a listener at addr, which is host:port: at the host itself
// if the certificate is for it, else at the first name that it is for. Where that is a wildcard, addr
// stays as it is.
func (c Certificate) Address(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || len(c.Names) == 0 || slices.Contains(c.Names, host) || strings.HasPrefix(c.Names[0], "*") {
		return addr
	}
	return net.JoinHostPort(c.Names[0], port)
}

// Address returns where a client that has reached this machine by a host name connects to a listener at
// addr: at the same name if addr is on all addresses and a certificate is for it, else at the first
// certificate's Address. The Set must not be empty.
func (s *Set) Address(addr, reached string) string {
	host, port, _ := net.SplitHostPort(addr)
	isFor := func(p pair) bool { return p.leaf().VerifyHostname(reached) == nil }
	if net.ParseIP(host).IsUnspecified() && slices.ContainsFunc(s.pairs, isFor) {
		return net.JoinHostPort(reached, port)
	}
	return s.Certificates()[0].Address(addr)
}

// Load reads the files of a valid configuration. Its error joins a *ConfigError for each file that
// can't be used. Without a listener the Set is empty.
func Load(c Config) (*Set, error) { return (*Set)(nil).Reload(c) }

// Reload reads the files of a valid configuration as Load does, but keeps s's self-signed
// certificate, which clients may have been told to trust. s may be nil.
func (s *Set) Reload(c Config) (*Set, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &reader{}
	next := &Set{}
	switch {
	case c.Address() == "":
		return &Set{config: &tls.Config{}}, nil
	case !c.SelfSigned:
		for i, f := range c.Certificates {
			next.pairs = append(next.pairs, r.pair(fmt.Sprintf("tls.certificates[%d]", i), f))
		}
	case s != nil && s.selfSigned():
		next.pairs = s.pairs
	default:
		made, err := newSelfSigned(c.Address(), time.Now())
		if err != nil {
			return nil, fmt.Errorf("make a self-signed certificate: %w", err)
		}
		next.pairs = []pair{made}
	}
	next.authorities = r.authorities(c.ClientCAFile)
	tickets := r.tickets(c.TicketKeyFile)
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	next.files = r.files
	next.config = next.handshakeConfig(c, tickets)
	return next, nil
}

// selfSigned reports whether the certificate was made and not read.
func (s *Set) selfSigned() bool { return len(s.pairs) > 0 && s.pairs[0].file == "" }

// handshakeConfig returns the configuration for handshakes. tickets is nil where no file is given.
func (s *Set) handshakeConfig(c Config, tickets [][ticketKeyBytes]byte) *tls.Config {
	config := &tls.Config{
		GetCertificate: newNames(s.pairs).choose,
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   tlsrecord.Suites12,
		NextProtos:     []string{"http/1.1"},
	}
	if c.MinVersion == "1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	if len(s.authorities) > 0 {
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		for _, c := range s.authorities {
			config.ClientCAs.AddCert(c)
		}
	}
	if tickets != nil {
		config.SetSessionTicketKeys(tickets)
	}
	return config
}

// TLS returns the configuration for handshakes, which callers clone and don't change. Without
// tls.ticket_key_file it has no ticket keys.
func (s *Set) TLS() *tls.Config { return s.config }

// Certificates describes the certificates, in the order of the configuration.
func (s *Set) Certificates() []Certificate {
	all := make([]Certificate, len(s.pairs))
	for i := range s.pairs {
		leaf := s.pairs[i].leaf()
		sum := sha256.Sum256(leaf.Raw)
		all[i] = Certificate{
			Key: s.pairs[i].key(), Name: nameOf(leaf), Names: namesOf(leaf), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
			KeyType: keyType(leaf.PublicKey), Fingerprint: hex.EncodeToString(sum[:]), DER: leaf.Raw,
		}
	}
	return all
}

// namesOf returns the DNS names and addresses that a certificate is for.
func namesOf(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// keyType returns the type and size of a public key.
func keyType(public any) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", public)
}
