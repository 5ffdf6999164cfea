package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFindings(t *testing.T) {
	const day = 24 * time.Hour
	root := authority(t, nil, "root")
	middle := authority(t, root, "middle")
	known := x509.NewCertPool()
	known.AddCert(root.Cert)
	named := []string{"www.example.com"}
	leaf := func(key crypto.Signer, change func(c *x509.Certificate)) *issued {
		return issue(t, middle, key, named, change)
	}
	lasting := func(life, left time.Duration) func(c *x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter, c.NotBefore = time.Now().Add(left), time.Now().Add(left-life) }
	}
	fine, private, foreign := leaf(nil, nil), issue(t, nil, nil, named, nil), authority(t, nil, "foreign")
	old := issue(t, root, middle.Key, nil, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid = middle.Cert.Subject, true, true
		lasting(100*day, -day)(c)
	})
	for name, test := range map[string]struct {
		pairs [][]*issued
		want  []string // severity and the beginning of the problem
	}{
		"a chain":                      {[][]*issued{{fine, middle}}, nil},
		"a chain with its root":        {[][]*issued{{fine, middle, root}}, nil},
		"by the root":                  {[][]*issued{{issue(t, root, nil, named, nil)}}, nil},
		"self-signed":                  {[][]*issued{{private}}, nil},
		"no chain":                     {[][]*issued{{fine}}, []string{"warning may lack a part of its chain: its issuer, middle, is neither"}},
		"the wrong order":              {[][]*issued{{fine, root, middle}}, []string{"warning has its chain in the wrong order"}},
		"another chain":                {[][]*issued{{fine, foreign}}, []string{"warning has a certificate behind it that did not sign the one before: number 2, of foreign", "warning may lack"}},
		"expired":                      {[][]*issued{{leaf(nil, lasting(90*day, -time.Hour)), middle}}, []string{"fix expired on " + date(time.Now().Add(-time.Hour))}},
		"expired in the chain":         {[][]*issued{{fine, old}}, []string{"fix has an expired certificate in its chain: number 2, of middle"}},
		"not yet valid":                {[][]*issued{{leaf(nil, lasting(90*day, 90*day+time.Hour)), middle}}, []string{"fix is not valid before "}},
		"expires this week":            {[][]*issued{{leaf(nil, lasting(90*day, 7*day-time.Hour)), middle}}, []string{"fix expires on " + date(time.Now().Add(7*day-time.Hour)) + ", in 6 days"}},
		"expires this month":           {[][]*issued{{leaf(nil, lasting(90*day, 30*day-time.Hour)), middle}}, []string{"warning expires on "}},
		"to be renewed":                {[][]*issued{{leaf(nil, lasting(90*day, 30*day+time.Hour)), middle}}, nil},
		"for six days":                 {[][]*issued{{leaf(nil, lasting(6*day, 3*day)), middle}}, nil},
		"for six days, a third left":   {[][]*issued{{leaf(nil, lasting(6*day, 2*day-time.Hour)), middle}}, []string{"warning expires on "}},
		"for six days, a quarter left": {[][]*issued{{leaf(nil, lasting(6*day, day+11*time.Hour)), middle}}, []string{"fix expires on "}},
		"for six days, hours left":     {[][]*issued{{leaf(nil, lasting(6*day, 3*time.Hour+time.Minute)), middle}}, []string{"fix expires on " + date(time.Now().Add(3*time.Hour+time.Minute)) + ", in 3 hours"}},
		"RSA":                          {[][]*issued{{leaf(newRSA(t, 2048), nil), middle}}, []string{"warning has an RSA key: a full handshake takes 732 us of CPU, 21 us"}},
		"RSA beside ECDSA":             {[][]*issued{{fine, middle}, {leaf(newRSA(t, 2048), nil), middle}}, nil},
		"RSA before ECDSA":             {[][]*issued{{leaf(newRSA(t, 2048), nil), middle}, {fine, middle}}, []string{"warning has an RSA key and is before an ECDSA certificate of the same names"}},
		"RSA beside other names":       {[][]*issued{{issue(t, middle, nil, []string{"api.example.com"}, nil), middle}, {leaf(newRSA(t, 2048), nil), middle}}, []string{"warning has an RSA key: "}},
		"weak RSA":                     {[][]*issued{{leaf(newRSA(t, 1024), nil), middle}}, []string{"fix has an RSA key of 1024 bits"}},
		"Ed25519":                      {[][]*issued{{leaf(newEd25519(t), nil), middle}}, []string{"warning has an Ed25519 key"}},
		"no names":                     {[][]*issued{{leaf(nil, func(c *x509.Certificate) { c.DNSNames = nil }), middle}}, []string{"fix is for no name"}},
		"for an address":               {[][]*issued{{issue(t, middle, nil, []string{"::1"}, nil), middle}}, nil},
		"for clients":                  {[][]*issued{{leaf(nil, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }), middle}}, []string{"fix is not for servers"}},
		"each certificate is examined": {[][]*issued{{fine, middle}, {fine}, {private}}, []string{"warning may lack"}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []Files
			for _, chain := range test.pairs {
				all = append(all, files(t, chain...))
			}
			got := mustLoad(t, configOf(all...)).findings(time.Now(), known)
			ok := slices.EqualFunc(got, test.want, func(f Finding, want string) bool {
				return strings.HasPrefix(string(f.Severity)+" "+f.Problem, want) && f.Advice != "" && f.Name != "" && strings.HasPrefix(f.Key, "tls.certificates[")
			})
			if !ok {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// A signature with SHA-1, which Go neither makes nor verifies.
func TestFindsWeakSignatures(t *testing.T) {
	root := authority(t, nil, "root")
	leaf := issue(t, root, nil, []string{"a.example"}, nil)
	leaf.Cert.SignatureAlgorithm = x509.ECDSAWithSHA1
	root.Cert.SignatureAlgorithm = x509.ECDSAWithSHA1 // its own signature doesn't count
	s := &Set{pairs: []pair{{place: "tls.certificates[0]", file: "f", chain: []*x509.Certificate{leaf.Cert, root.Cert}}}}
	got := s.findings(time.Now(), x509.NewCertPool())
	if len(got) != 1 || got[0].Severity != Fix || !strings.Contains(got[0].Problem, "ECDSA-SHA1, on certificate 1 in its file") {
		t.Errorf("%q", got)
	}
}

func TestFindingsOfClientAuthorities(t *testing.T) {
	root := authority(t, nil, "root")
	client := issue(t, root, nil, []string{"client"}, nil)
	old := issue(t, nil, nil, nil, func(c *x509.Certificate) { c.IsCA, c.NotAfter = true, time.Now().Add(-time.Second) })
	c := configOf(files(t, issue(t, nil, nil, []string{"a.example"}, nil)))
	c.ClientCAFile = write(t, filepath.Join(t.TempDir(), "ca.pem"), certPEM(root, client, old))
	s := mustLoad(t, c)
	got := s.Findings(time.Now())
	if len(got) != 2 || got[0].Severity != Warning || !strings.HasPrefix(got[0].Problem, "certificate 2 in it is not an authority's") ||
		got[1].Severity != Fix || !strings.HasPrefix(got[1].Problem, "certificate 3 in it expired on") {
		t.Errorf("%q", got)
	}
	var log bytes.Buffer
	s.Log(slog.New(slog.NewTextHandler(&log, nil)), time.Now())
	for _, want := range []string{`level=WARN msg="a certificate needs attention" key=tls.client_ca_file name=client problem="certificate 2`, "level=ERROR"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
}

func TestSelfSignedHasNoFindings(t *testing.T) {
	c := DefaultConfig()
	c.SelfSigned = true
	s := mustLoad(t, c)
	if got := s.Findings(time.Now()); len(got) > 0 {
		t.Errorf("%q", got)
	}
	got := s.Findings(time.Now().Add(29 * 24 * time.Hour))
	if len(got) != 1 || got[0].Key != "tls.self_signed" || !strings.Contains(got[0].Advice, "restart") {
		t.Errorf("%q", got)
	}
}
