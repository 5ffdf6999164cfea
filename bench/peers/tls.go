package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// clientTLS is the same for the clients of all servers: the group that all of them know, as OpenSSL
// 3.0 lacks the hybrid one that Go's crypto/tls prefers. No client resumes a session.
func clientTLS() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // checkTLS has verified the certificate
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		NextProtos:         []string{"http/1.1"},
	}
}

// suite is the one that all servers have to choose.
const suite = tls.TLS_AES_128_GCM_SHA256

// Files of a setting's folder.
func certificateFile(dir string) string { return filepath.Join(dir, "cert.pem") }
func keyFile(dir string) string         { return filepath.Join(dir, "key.pem") }
func bundleFile(dir string) string      { return filepath.Join(dir, "both.pem") } // as HAProxy wants it

// writeCertificate makes a self-signed certificate with a key on P-256, and writes the three files.
func writeCertificate(dir string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool, errors.Join(
		os.WriteFile(certificateFile(dir), certificate, 0o600),
		os.WriteFile(keyFile(dir), secret, 0o600),
		os.WriteFile(bundleFile(dir), append(certificate, secret...), 0o600),
	)
}

// secureListener ends TLS as net/http does, with the certificate of a folder.
func secureListener(l net.Listener, dir string) (net.Listener, error) {
	certificate, err := tls.LoadX509KeyPair(certificateFile(dir), keyFile(dir))
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}), nil
}

// checkTLS waits until a server speaks TLS, and returns an error unless it chooses as all others do.
func (r *running) checkTLS(ctx context.Context, pool *x509.CertPool) error {
	config := clientTLS()
	config.InsecureSkipVerify, config.RootCAs = false, pool
	var state tls.ConnectionState
	err := r.Ready(ctx, "it does not speak TLS", func(ctx context.Context) error {
		c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", r.listen.String())
		if err != nil {
			return err
		}
		defer c.Close()
		state = c.(*tls.Conn).ConnectionState()
		return nil
	})
	if err == nil && (state.CipherSuite != suite || state.NegotiatedProtocol != "http/1.1") {
		err = fmt.Errorf("the server chose %s and protocol %q, want %s and \"http/1.1\"",
			tls.CipherSuiteName(state.CipherSuite), state.NegotiatedProtocol, tls.CipherSuiteName(suite))
	}
	return err
}
