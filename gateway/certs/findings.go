package certs

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Severity is how bad a Finding is.
type Severity string

const (
	// Warning is for what works and should be changed, or soon won't work.
	Warning Severity = "warning"
	// Fix is for what keeps clients away, or will within days.
	Fix Severity = "fix"
)

// Finding is something wrong with a file that can be used all the same.
type Finding struct {
	Key      string // of the configuration, such as tls.certificates[0].cert_file
	Name     string // of the certificate, as Certificate.Name has it
	Severity Severity
	Problem  string // a sentence without a subject: "expired on 2026-01-31"
	Advice   string // what to do
}

// A certificate should have been renewed when less than a third of its time is left, as ACME clients
// do, or a month; with a quarter or a week left its renewal has failed. Certificates for ten years
// have a month and a week, those for six days two days and a day and a half. The alert
// PushgateCertificateExpires goes by the latter.
const (
	renewTime, renewShare   = 30 * 24 * time.Hour, 3
	urgentTime, urgentShare = 7 * 24 * time.Hour, 4
)

// Log logs all findings.
func (s *Set) Log(log *slog.Logger, now time.Time) {
	for _, f := range s.Findings(now) {
		write := log.Warn
		if f.Severity == Fix {
			write = log.Error
		}
		write("a certificate needs attention", "key", f.Key, "name", f.Name, "problem", f.Problem, "fix", f.Advice)
	}
}

// Findings returns everything wrong with the certificates that Load doesn't refuse.
func (s *Set) Findings(now time.Time) []Finding {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = nil // and incomplete chains stay unnoticed
	}
	return s.findings(now, roots)
}

// findings takes the authorities that clients are expected to know; nil if there are none to ask.
func (s *Set) findings(now time.Time, roots *x509.CertPool) (all []Finding) {
	for i := range s.pairs {
		p := &s.pairs[i]
		add := func(severity Severity, advice, format string, args ...any) {
			all = append(all, Finding{p.key(), nameOf(p.leaf()), severity, fmt.Sprintf(format, args...), advice})
		}
		p.examineTimes(now, add)
		p.examineKey(s.pairs[:i], s.pairs[i+1:], add)
		p.examineUse(add)
		p.examineChain(now, roots, add)
	}
	for i, c := range s.authorities {
		add := func(severity Severity, advice, format string, args ...any) {
			all = append(all, Finding{"tls.client_ca_file", nameOf(c), severity, fmt.Sprintf("certificate %d in it ", i+1) + fmt.Sprintf(format, args...), advice})
		}
		switch {
		case now.After(c.NotAfter):
			add(Fix, "replace it, or take it out", "expired on %s: clients with its certificates are refused", date(c.NotAfter))
		case !c.IsCA:
			add(Warning, "put the certificate of the authority in its place", "is not an authority's: it admits only the client that has it")
		}
	}
	return all
}

// report adds a Finding.
type report func(severity Severity, advice, format string, args ...any)

const renewAdvice = "renew it (certbot renew, lego renew, or cert-manager's events); new files are used at once"

func (p *pair) examineTimes(now time.Time, add report) {
	leaf, advice := p.leaf(), renewAdvice
	if p.file == "" {
		advice = "restart the gateway, which makes another one"
	}
	life, left := leaf.NotAfter.Sub(leaf.NotBefore), leaf.NotAfter.Sub(now)
	switch {
	case left < 0:
		add(Fix, advice, "expired on %s", date(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		add(Fix, "check the clock of this machine, or wait", "is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case left < min(urgentTime, life/urgentShare):
		add(Fix, advice, "expires on %s, in %s", date(leaf.NotAfter), days(left))
	case left < min(renewTime, life/renewShare):
		add(Warning, advice, "expires on %s, in %s", date(leaf.NotAfter), days(left))
	}
	for i, c := range p.chain[1:] {
		if now.After(c.NotAfter) {
			add(Fix, "take the chain from the issuer again", "has an expired certificate in its chain: number %d, of %s, until %s", i+2, nameOf(c), date(c.NotAfter))
		}
	}
}

// examineKey reports weak and costly keys. Of certificates for the same names the first that a client can
// use counts, so an RSA certificate serves only old clients if an ECDSA one is before it.
func (p *pair) examineKey(before, behind []pair, add report) {
	const advice = "get an ECDSA certificate: certbot --key-type ecdsa, lego --key-type ec256, or algorithm: ECDSA in cert-manager's privateKey"
	const cost = "a full handshake takes 732 us of CPU, 21 us with ECDSA P-256"
	insteadOfIt := func(other pair) bool {
		_, isECDSA := other.leaf().PublicKey.(*ecdsa.PublicKey)
		return isECDSA && sameNames(other.leaf(), p.leaf())
	}
	switch k := p.leaf().PublicKey.(type) {
	case *rsa.PublicKey:
		switch bits := k.N.BitLen(); {
		case bits < 2048:
			add(Fix, advice, "has an RSA key of %d bits: clients refuse fewer than 2048", bits)
		case slices.ContainsFunc(before, insteadOfIt):
		case slices.ContainsFunc(behind, insteadOfIt):
			add(Warning, "list the ECDSA certificate first", "has an RSA key and is before an ECDSA certificate of the same names, which nobody gets: "+cost)
		default:
			add(Warning, advice+"; this one may stay behind it for old clients", "has an RSA key: "+cost)
		}
	case ed25519.PublicKey:
		add(Warning, advice, "has an Ed25519 key, which browsers refuse")
	}
}

// examineUse says for what the certificate can't be used.
func (p *pair) examineUse(add report) {
	leaf := p.leaf()
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		add(Fix, "get one with the names that clients connect to (subjectAltName)", "is for no name: clients ignore the common name")
	}
	if usage := leaf.ExtKeyUsage; len(usage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(usage, x509.ExtKeyUsageServerAuth) && !slices.Contains(usage, x509.ExtKeyUsageAny) {
		add(Fix, "get one with the extended key usage serverAuth", "is not for servers")
	}
	for i, c := range p.chain {
		if isWeak(c.SignatureAlgorithm) && !signs(c, c) {
			add(Fix, "get one that is signed with SHA-256", "has a signature that clients refuse, %v, on certificate %d in its file", c.SignatureAlgorithm, i+1)
		}
	}
}

// examineChain verifies that each certificate of the file signs the one before, and that clients can
// be expected to know who signed the last.
func (p *pair) examineChain(now time.Time, roots *x509.CertPool, add report) {
	last := 0
	for last+1 < len(p.chain) && signs(p.chain[last+1], p.chain[last]) {
		last++
	}
	end := p.chain[last]
	for _, other := range p.chain[last+1:] {
		if signs(other, end) && !signs(end, end) {
			add(Warning, "put the server's certificate first, and behind each one that of its issuer", "has its chain in the wrong order")
			return
		}
	}
	if last+1 < len(p.chain) {
		add(Warning, "leave only the certificate and its issuers in the file", "has a certificate behind it that did not sign the one before: number %d, of %s", last+2, nameOf(p.chain[last+1]))
	}
	if roots == nil || signs(end, end) {
		return
	}
	if now.Before(end.NotBefore) || now.After(end.NotAfter) {
		now = end.NotAfter
	}
	_, err := end.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		add(Warning, "use the file with the whole chain (fullchain.pem); nothing needs doing if it is a private authority that clients are given",
			"may lack a part of its chain: its issuer, %s, is neither in the file nor among the system's authorities", cmp.Or(end.Issuer.CommonName, end.Issuer.String()))
	}
}

// signs reports whether issuer signed c. An old hash doesn't count, which is reported on its own.
func signs(issuer, c *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, c.RawIssuer) {
		return false
	}
	if isWeak(c.SignatureAlgorithm) {
		return len(c.AuthorityKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId)
	}
	return issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func isWeak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// nameOf returns the first name of a certificate, its subject, or what else tells it from others.
func nameOf(c *x509.Certificate) string {
	if names := namesOf(c); len(names) > 0 {
		return names[0]
	}
	return cmp.Or(c.Subject.CommonName, c.Subject.String(), fmt.Sprintf("serial %x", c.SerialNumber))
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// days writes a time that is left, rounded down.
func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); n {
	case 0:
		return fmt.Sprintf("%d hours", int(d/time.Hour))
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
