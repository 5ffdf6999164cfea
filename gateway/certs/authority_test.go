package certs

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/pushgate/pushgate/internal/testcert"
)

type issued = testcert.Issued

var (
	issue, authority       = testcert.Issue, testcert.Authority
	newKey, newRSA         = testcert.NewKey, testcert.NewRSA
	certPEM, keyPEM, write = testcert.PEM, testcert.KeyPEM, testcert.Write
)

func newEd25519(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// files writes a certificate, its chain and its key.
func files(t *testing.T, chain ...*issued) Files {
	t.Helper()
	dir := t.TempDir()
	return Files{
		CertFile: write(t, filepath.Join(dir, "cert.pem"), certPEM(chain...)),
		KeyFile:  write(t, filepath.Join(dir, "key.pem"), keyPEM(t, chain[0].Key)),
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
