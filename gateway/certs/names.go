package certs

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// names finds the certificate for the name that a client asks for. Of several for the same name, as
// an ECDSA and an RSA certificate, it takes the first one that the client can verify.
type names struct {
	byName   map[string][]*tls.Certificate // in lower case; wildcards as "*.example.com"
	fallback []*tls.Certificate            // the first certificate, and others for its names
}

func newNames(pairs []pair) *names {
	n := &names{byName: map[string][]*tls.Certificate{}}
	for i := range pairs {
		p := &pairs[i]
		for _, name := range p.leaf().DNSNames {
			name = strings.ToLower(name)
			n.byName[name] = append(n.byName[name], p.cert)
		}
		if i == 0 || sameNames(p.leaf(), pairs[0].leaf()) {
			n.fallback = append(n.fallback, p.cert)
		}
	}
	return n
}

func sameNames(a, b *x509.Certificate) bool {
	x, y := namesOf(a), namesOf(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// choose is a tls.Config.GetCertificate.
func (n *names) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	candidates := n.find(strings.ToLower(hello.ServerName))
	if len(candidates) == 1 {
		return candidates[0], nil
	}
	anyName := *hello
	anyName.ServerName = "" // which was compared already
	for _, c := range candidates {
		if anyName.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return candidates[0], nil
}

func (n *names) find(name string) []*tls.Certificate {
	if found := n.byName[name]; found != nil {
		return found
	}
	// A wildcard stands for one label (RFC 9525, 6.3).
	if _, parent, ok := strings.Cut(name, "."); ok {
		if found := n.byName["*."+parent]; found != nil {
			return found
		}
	}
	return n.fallback
}
