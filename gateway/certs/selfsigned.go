package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/address"
)

// selfSignedTime is how long a self-signed certificate is valid.
const selfSignedTime = 30 * 24 * time.Hour

// newSelfSigned makes a certificate for this machine and the host of a listener's address.
func newSelfSigned(addr string, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "localhost", Organization: []string{"pushgate, self-signed"}},
		// A client's clock may be a little behind.
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedTime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	host, _, _ := address.Split(addr)
	if ip := net.ParseIP(host); ip == nil {
		if !slices.Contains(template.DNSNames, host) {
			template.DNSNames = append(template.DNSNames, host)
		}
	} else if !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
		template.IPAddresses = append(template.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return pair{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, err
	}
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return pair{place: "tls.self_signed", cert: cert, chain: []*x509.Certificate{leaf}}, nil
}
