package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issued is a certificate with its key, and signs others.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate signed by an issuer, or by itself. It has a new P-256 key, and is for
// the names, unless change says otherwise.
func issue(t *testing.T, by *issued, key crypto.Signer, names []string, change func(c *x509.Certificate)) *issued {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &issued{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

// authority makes the certificate of an authority, its own or by another one.
func authority(t *testing.T, by *issued, name string) *issued {
	t.Helper()
	return issue(t, by, nil, nil, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = pkix.Name{CommonName: name}, true, true, x509.KeyUsageCertSign
		c.NotAfter, c.ExtKeyUsage = time.Now().Add(10*365*24*time.Hour), nil
	})
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certPEM(chain ...*issued) (text []byte) {
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	return text
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// write replaces a file as a whole.
func write(t *testing.T, file string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(file+".next", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".next", file); err != nil {
		t.Fatal(err)
	}
	return file
}

// files writes a certificate, its chain and its key.
func files(t *testing.T, chain ...*issued) Files {
	t.Helper()
	dir := t.TempDir()
	return Files{
		CertFile: write(t, filepath.Join(dir, "cert.pem"), certPEM(chain...)),
		KeyFile:  write(t, filepath.Join(dir, "key.pem"), keyPEM(t, chain[0].key)),
	}
}

func configOf(all ...Files) Config {
	c := DefaultConfig()
	c.Listen, c.Certificates = "127.0.0.1:0", all
	return c
}

func mustLoad(t *testing.T, c Config) *Set {
	t.Helper()
	s, err := Load(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
