package redistest

import (
	"crypto/x509"
	"net"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/pushgate/pushgate/internal/loopback"
	"github.com/pushgate/pushgate/internal/testcert"
)

// ServerName is the only name in the servers' certificates: the address that they
// listen on is in none.
const ServerName = "redis.example"

// Certificates are those of an authority of its own, by their files: for the
// servers, and for clients that servers ask for one.
type Certificates struct {
	CA, Server, ServerKey, Client, ClientKey string

	t         testing.TB
	authority *testcert.Issued
	names     []string // of the servers
}

// NewCertificates makes them for the time of the test. The servers' is for the
// names and addresses.
func NewCertificates(t testing.TB, names ...string) *Certificates {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	c := &Certificates{
		t: t, authority: testcert.Authority(t, nil, "test authority"), names: names,
		CA: in("ca.pem"), Server: in("server.pem"), ServerKey: in("server.key"), Client: in("client.pem"), ClientKey: in("client.key"),
	}
	testcert.Write(t, c.CA, testcert.PEM(c.authority))
	c.RenewServer()
	c.RenewClient()
	return c
}

// RenewServer gives the servers another certificate in the same files.
func (c *Certificates) RenewServer() {
	c.t.Helper()
	c.issue(c.names, "", c.Server, c.ServerKey)
}

// RenewClient gives the clients another certificate in the same files.
func (c *Certificates) RenewClient() {
	c.t.Helper()
	c.issue(nil, "gateway", c.Client, c.ClientKey)
}

// issue makes a certificate for servers and clients and its key.
func (c *Certificates) issue(names []string, subject, file, keyFile string) {
	c.t.Helper()
	issued := testcert.Issue(c.t, c.authority, nil, names, func(c *x509.Certificate) { c.Subject.CommonName = subject })
	testcert.Write(c.t, keyFile, testcert.KeyPEM(c.t, issued.Key))
	testcert.Write(c.t, file, testcert.PEM(issued))
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
