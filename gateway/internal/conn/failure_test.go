package conn

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/testcert"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// anyCertificate is a client that takes every certificate.
var anyCertificate = &tls.Config{InsecureSkipVerify: true}

// newAuthority makes an authority.
func newAuthority(t testing.TB) *testcert.Issued {
	t.Helper()
	return testcert.Authority(t, nil, "authority")
}

// useless is a key that nothing is signed with.
type useless struct{ crypto.PublicKey }

func (u useless) Public() crypto.PublicKey { return u.PublicKey }

func (useless) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("it can't sign")
}

// issueX25519 returns a certificate for a key of a kind that can't sign.
func issueX25519(t testing.TB, a *testcert.Issued) []byte {
	t.Helper()
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := testcert.Issue(t, a, signing, nil, nil).Cert
	// The object identifiers of the two kinds of keys (RFC 8410, 3).
	tbs := bytes.Replace(cert.RawTBSCertificate, []byte{6, 3, 0x2b, 101, 112}, []byte{6, 3, 0x2b, 101, 110}, 1)
	sum := sha256.Sum256(tbs)
	signature, err := a.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// serverConfig has a certificate of an authority, and wants none of clients.
func serverConfig(t testing.TB, a *testcert.Issued) *tls.Config {
	t.Helper()
	leaf := testcert.Issue(t, a, nil, nil, nil)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Cert.Raw}, PrivateKey: leaf.Key}},
		CipherSuites: tlsrecord.Suites12, NextProtos: []string{"http/1.1"},
	}
}

// presenting is a client with a certificate, which it presents whatever the server wants.
func presenting(der []byte, key crypto.PrivateKey) *tls.Config {
	c := anyCertificate.Clone()
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	}
	return c
}

// changing is a connection whose writes are changed.
type changing struct {
	net.Conn
	change func(p []byte) []byte
}

func (c changing) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(c.change(bytes.Clone(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// The reason of a failed handshake is told from the error that crypto/tls has in a real one. Where
// only its text tells, this test shows that the text is still the same.
func TestFailureReasons(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	key := testcert.NewKey(t)
	issue := func(by *testcert.Issued, key crypto.Signer, change func(*x509.Certificate)) []byte {
		return testcert.Issue(t, by, key, nil, change).Cert.Raw
	}
	byConfig := func(config *tls.Config) func(c net.Conn) {
		return func(c net.Conn) {
			if s := tls.Client(c, config); s.Handshake() == nil {
				s.Read(make([]byte, 1)) // in TLS 1.3 the client's side is complete first
			}
		}
	}
	with := func(change func(*tls.Config)) func(c net.Conn) {
		config := anyCertificate.Clone()
		change(config)
		return byConfig(config)
	}
	sending := func(b ...byte) func(c net.Conn) { return func(c net.Conn) { c.Write(b) } }
	tooLarge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1<<14, 1), E: 65537}
	hello := gatewaytest.ClientHello(t)
	for name, test := range map[string]struct {
		client func(c net.Conn)
		want   reasons.TLS
		once   bool // not in each version
		certs  bool // clients need a certificate
	}{
		"a version": {client: with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), want: reasons.TLSVersion, once: true},
		"a cipher suite": {client: with(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}), want: reasons.TLSSuite, once: true},
		"a protocol":           {client: with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), want: reasons.TLSProtocol},
		"bytes":                {client: sending([]byte("\x00\x01\x02\x03\x04\x05")...), want: reasons.TLSNotTLS, once: true},
		"plain HTTP":           {client: sending([]byte("GET / HTTP/1.1\r\n\r\n")...), want: reasons.TLSPlain, once: true},
		"a bad hello":          {client: sending(byte(tlsrecord.TypeHandshake), 3, 1, 0, 6, 1, 0, 0, 2, 9, 9), want: reasons.TLSHandshake, once: true},
		"a warning in clear":   {client: sending(append(hello[:len(hello):len(hello)], byte(tlsrecord.TypeAlert), 3, 3, 0, 2, 1, 90)...), want: reasons.TLSHandshake, once: true},
		"half a hello":         {client: func(c net.Conn) { c.Write(hello[:len(hello)/2]); c.(*net.UnixConn).CloseWrite() }, want: reasons.TLSLeft, once: true},
		"a client that leaves": {client: func(c net.Conn) { c.Write(hello); c.(*net.UnixConn).CloseWrite() }, want: reasons.TLSLeft, once: true},
		"no certificate":       {client: byConfig(anyCertificate), want: reasons.TLSCertificate, certs: true},
		"an unknown authority": {client: byConfig(presenting(issue(other, key, nil), key)), want: reasons.TLSCertificate, certs: true},
		"one that has expired": {client: byConfig(presenting(issue(a, key, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }), key)), want: reasons.TLSCertificate, certs: true},
		"a server's":           {client: byConfig(presenting(issue(a, key, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), key)), want: reasons.TLSCertificate, certs: true},
		"another's":            {client: byConfig(presenting(issue(a, key, nil), testcert.NewKey(t))), want: reasons.TLSCertificate, certs: true},
		"rubbish":              {client: byConfig(presenting([]byte("rubbish"), key)), want: reasons.TLSCertificate, certs: true},
		"a large key":          {client: byConfig(presenting(issue(a, useless{tooLarge}, nil), key)), want: reasons.TLSCertificate, certs: true},
		"a key of no use":      {client: byConfig(presenting(issueX25519(t, a), key)), want: reasons.TLSCertificate, certs: true},
		"no certificate for the client": {client: func(c net.Conn) {
			byConfig(anyCertificate)(changing{c, func(p []byte) []byte { // RSA in place of ECDSA among the signature algorithms
				return bytes.Replace(p, []byte{8, 4, 4, 3}, []byte{8, 4, 4, 1}, 1)
			}})
		}, want: reasons.TLSCertificate, once: true},
		"an alert": {client: with(func(c *tls.Config) { c.InsecureSkipVerify, c.ServerName = false, "name" }), want: reasons.TLSPeerAlert},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if test.once && version == tls.VersionTLS13 {
				continue
			}
			t.Run(name+", "+tls.VersionName(version), func(t *testing.T) {
				w := newOwner(t, Options{FirstRequest: time.Minute})
				config := serverConfig(t, a)
				if !test.once {
					config.MinVersion, config.MaxVersion = version, version
				}
				if test.certs {
					config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
					config.ClientCAs.AddCert(a.Cert)
				}
				w.run(config)
				_, c := w.dial(netip.AddrPort{})
				test.client(c)
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Fatal(err)
				}
				w.do(func() {
					failures := w.Stats().TLSFailures
					if len(failures) != 1 || failures[test.want] != 1 {
						t.Errorf("counted %v, want %s", failures, test.want)
					}
				})
			})
		}
	}
}

// An alert of the client's ends its connection, in its handshake and behind it, encrypted or not, and
// nothing is sent after it.
func TestClientAlert(t *testing.T) {
	const fatal, unknownCA = 2, 48
	plain := []byte{byte(tlsrecord.TypeAlert), 3, 3, 0, 2, fatal, unknownCA}
	changeCipherSpec := []byte{byte(tlsrecord.TypeChangeCipherSpec), 3, 3, 0, 1, 1}
	distrusting := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "name"}
	for name, alert := range map[string]func(t *testing.T, c net.Conn){
		"in TLS 1.3, encrypted": func(t *testing.T, c net.Conn) {
			if tls.Client(c, distrusting).Handshake() == nil {
				t.Error("it trusts the certificate")
			}
		},
		"in TLS 1.2": func(t *testing.T, c net.Conn) {
			config := distrusting.Clone()
			config.MaxVersion = tls.VersionTLS12
			if tls.Client(c, config).Handshake() == nil {
				t.Error("it trusts the certificate")
			}
		},
		"in TLS 1.3, in clear": func(t *testing.T, c net.Conn) {
			c.Write(gatewaytest.ClientHello(t))
			if _, err := c.Read(make([]byte, 1)); err != nil { // the server's flight
				t.Error(err)
			}
			c.Write(plain)
		},
		"in clear, in one write with change_cipher_spec": func(t *testing.T, c net.Conn) {
			c.Write(gatewaytest.ClientHello(t))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
			c.Write(append(changeCipherSpec, plain...))
		},
		"behind the handshake": func(t *testing.T, c net.Conn) {
			h := tlsrecord.NewHandshake(wire{c}, nil)
			r, err := h.Client(anyCertificate)
			if err != nil {
				t.Error(err)
				return
			}
			var layer tlsrecord.Layer
			b, err := layer.AppendAlert(nil, &r.State, r.Wide, tlsrecord.AlertInternalError)
			if err != nil {
				t.Error(err)
			}
			c.Write(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwner(t, Options{FirstRequest: time.Minute})
			var before []uint64 // bytes sent before each write, which may be of nothing
			w.Out.OnWrite(func(uint32) { before = append(before, w.stats.BytesOut) })
			w.run(serverConfig(t, newAuthority(t)))
			i, c := w.dial(netip.AddrPort{})
			alert(t, c)
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Fatal(err)
			}
			w.do(func() {
				failures := w.Stats().TLSFailures
				if len(failures) != 1 || failures[reasons.TLSPeerAlert] != 1 || w.closed[i] != reasons.CloseTLS {
					t.Errorf("counted %v, closed for %s", failures, w.closed[i])
				}
				if sent := w.stats.BytesOut; sent == 0 || len(before) > 1 && sent > before[1] {
					t.Errorf("%d bytes are sent, before each write %d", sent, before)
				}
			})
		})
	}
}

// wire is a connection as the wire of a handshake.
type wire struct{ net.Conn }

func (w wire) Receive() ([]byte, error) {
	b := make([]byte, maxAhead)
	n, err := w.Read(b)
	return b[:n], err
}

func (w wire) Send(p []byte) { w.Write(p) }
