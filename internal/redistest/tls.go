package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loopback"
)

// ServerName is the only name in the servers' certificates: the address that they
// listen on is in none.
const ServerName = "redis.example"

// Certificates are those of an authority of its own, by their files: for the
// servers, and for clients that servers ask for one.
type Certificates struct {
	CA, Server, ServerKey, Client, ClientKey string

	t      testing.TB
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
	names  []string // of the servers
}

// NewCertificates makes them for the time of the test. The servers' is for the
// names and addresses.
func NewCertificates(t testing.TB, names ...string) *Certificates {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	c := &Certificates{
		t:  t,
		CA: in("ca.pem"), Server: in("server.pem"), ServerKey: in("server.key"), Client: in("client.pem"), ClientKey: in("client.key"),
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	c.ca, c.key = template, c.newKey()
	c.ca = c.sign(template, c.key, c.CA)
	c.names = names
	c.RenewServer()
	c.RenewClient()
	return c
}

// RenewServer gives the servers another certificate in the same files.
func (c *Certificates) RenewServer() {
	c.t.Helper()
	server := &x509.Certificate{}
	for _, name := range c.names {
		if ip := net.ParseIP(name); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else {
			server.DNSNames = append(server.DNSNames, name)
		}
	}
	c.issue(server, c.Server, c.ServerKey)
}

// RenewClient gives the clients another certificate in the same files.
func (c *Certificates) RenewClient() {
	c.t.Helper()
	c.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "gateway"}}, c.Client, c.ClientKey)
}

// issue makes a certificate for servers and clients and its key.
func (c *Certificates) issue(template *x509.Certificate, file, keyFile string) {
	c.t.Helper()
	key := c.newKey()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(keyFile, "PRIVATE KEY", der)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	c.sign(template, key, file)
}

func (c *Certificates) sign(template *x509.Certificate, key *ecdsa.PrivateKey, file string) *x509.Certificate {
	c.t.Helper()
	c.serial++
	template.SerialNumber = big.NewInt(c.serial)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca, key.Public(), c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(file, "CERTIFICATE", der)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

func (c *Certificates) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

// write replaces the file as a whole, as renewals do.
func (c *Certificates) write(file, kind string, der []byte) {
	c.t.Helper()
	next := file + ".next"
	if err := os.WriteFile(next, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(next, file); err != nil {
		c.t.Fatal(err)
	}
}

// Query returns the parameters of a URL for a server that asks for all of them.
func (c *Certificates) Query() string {
	return url.Values{"ca_file": {c.CA}, "cert_file": {c.Client}, "key_file": {c.ClientKey}, "server_name": {ServerName}}.Encode()
}

// listen has a server that isn't started yet listen with TLS too, and ask its
// clients for certificates.
func (c *Certificates) listen(s *Server) {
	c.t.Helper()
	addr, err := loopback.Reserve()
	if err != nil {
		c.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	s.Secure = addr
	s.args = append(s.args, "--tls-port", port, "--tls-auth-clients", "yes", "--tls-replication", "yes",
		"--tls-ca-cert-file", c.CA, "--tls-cert-file", c.Server, "--tls-key-file", c.ServerKey)
}

// StartSecure starts a server that listens with TLS too.
func StartSecure(t testing.TB, certs *Certificates, args ...string) *Server {
	t.Helper()
	s := New(t)
	certs.listen(s)
	s.args = append(s.args, args...)
	s.Start()
	return s
}
