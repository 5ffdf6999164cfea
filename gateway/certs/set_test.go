package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// meet makes a handshake, and has the client read a byte, with which come its tickets.
func meet(t *testing.T, s *Set, config *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1) // sent to by the server's goroutine, once
	go func() {
		// Ends with the connection, or the listener; waited for below.
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, err = tls.Server(c, s.TLS().Clone()).Write([]byte("x"))
		}
		ended <- err
	}()
	plain, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := tls.Client(plain, config)
	_, clientErr = client.Read(make([]byte, 1))
	state = client.ConnectionState()
	plain.Close()
	return state, clientErr, <-ended
}

// anyName is a client that takes every certificate.
func anyName(name string) *tls.Config { return &tls.Config{ServerName: name, InsecureSkipVerify: true} }

func TestSelfSigned(t *testing.T) {
	c := DefaultConfig()
	c.SelfSigned, c.Listen = true, "127.0.0.2:8443"
	s := mustLoad(t, c)
	got := s.Certificates()
	if len(got) != 1 || got[0].KeyType != "ECDSA P-256" || !slices.Equal(got[0].Names, []string{"localhost", "127.0.0.1", "::1", "127.0.0.2"}) || s.Changed() {
		t.Errorf("%+v", got)
	}
	again, err := s.Reload(c)
	if err != nil || again.Certificates()[0].Fingerprint != got[0].Fingerprint {
		t.Errorf("reloaded: %v, another certificate", err)
	}
	if mustLoad(t, c).Certificates()[0].Fingerprint == got[0].Fingerprint {
		t.Error("another start has the same certificate")
	}
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(got[0].DER)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	for _, name := range got[0].Names {
		if _, err, _ := meet(t, s, &tls.Config{RootCAs: roots, ServerName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddress(t *testing.T) {
	for want, test := range map[string]struct {
		names []string
		addr  string
	}{
		"push.example.com:443":  {[]string{"push.example.com", "10.0.0.1"}, "[::]:443"},
		"push.example.com:8443": {[]string{"push.example.com"}, "127.0.0.1:8443"},
		"127.0.0.1:8443":        {[]string{"localhost", "127.0.0.1"}, "127.0.0.1:8443"},
		"[2001:db8::1]:443":     {[]string{"2001:db8::1"}, "0.0.0.0:443"},
		"[::]:443":              {[]string{"*.example.com", "example.com"}, "[::]:443"},
		"0.0.0.0:443":           {nil, "0.0.0.0:443"},
	} {
		if got := (Certificate{Names: test.names}).Address(test.addr); got != want {
			t.Errorf("%v at %s: got %s, want %s", test.names, test.addr, got, want)
		}
	}
}

func TestAddressAsReached(t *testing.T) {
	root := authority(t, nil, "root")
	made := func(names ...string) Files { return files(t, issue(t, root, nil, names, nil), root) }
	s := mustLoad(t, configOf(made("push.example.com", "10.0.0.1", "2001:db8::1"), made("*.example.org")))
	for _, test := range []struct{ addr, reached, want string }{
		{"[::]:443", "localhost", "push.example.com:443"},
		{"[::]:443", "10.0.0.1", "10.0.0.1:443"},
		{"[::]:443", "2001:db8::1", "[2001:db8::1]:443"},
		{"0.0.0.0:443", "a.example.org", "a.example.org:443"},
		{"0.0.0.0:443", "a.b.example.org", "push.example.com:443"},
		{"127.0.0.1:8443", "a.example.org", "push.example.com:8443"},
	} {
		if got := s.Address(test.addr, test.reached); got != test.want {
			t.Errorf("%s, reached by %s: got %s, want %s", test.addr, test.reached, got, test.want)
		}
	}
}

func TestServerNames(t *testing.T) {
	root := authority(t, nil, "root")
	made := func(names ...string) Files { return files(t, issue(t, root, nil, names, nil), root) }
	s := mustLoad(t, configOf(
		made("first.example", "10.0.0.1"), made("*.Example.com"), made("www.example.com", "a.b.example.com"),
		files(t, issue(t, root, newRSA(t, 2048), []string{"*.example.com"}, nil), root)))
	rsaOnly := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	for name, test := range map[string]struct {
		client *tls.Config
		name   string
		want   int // of the certificates
	}{
		"exact":                 {nil, "www.example.com", 2},
		"in upper case":         {nil, "WWW.EXAMPLE.COM", 2},
		"a wildcard":            {nil, "api.example.com", 1},
		"two labels":            {nil, "x.y.example.com", 0},
		"two labels, exact":     {nil, "a.b.example.com", 2},
		"the wildcard's parent": {nil, "example.com", 0},
		"unknown":               {nil, "example.org", 0},
		"none":                  {nil, "", 0},
		"an old client":         {rsaOnly, "api.example.com", 3},
	} {
		t.Run(name, func(t *testing.T) {
			client := anyName(test.name)
			if test.client != nil {
				client.MaxVersion, client.CipherSuites = test.client.MaxVersion, test.client.CipherSuites
			}
			state, err, _ := meet(t, s, client)
			if err != nil {
				t.Fatal(err)
			}
			if want := s.Certificates()[test.want].DER; string(state.PeerCertificates[0].Raw) != string(want) {
				t.Errorf("got %v, want certificate %d", namesOf(state.PeerCertificates[0]), test.want)
			}
		})
	}
}

func TestHandshakes(t *testing.T) {
	pair := files(t, issue(t, nil, nil, []string{"a.example"}, nil))
	old, strict := mustLoad(t, configOf(pair)), configOf(pair)
	strict.MinVersion = "1.3"
	for name, test := range map[string]struct {
		set    *Set
		change func(c *tls.Config)
		want   string // a part of the server's error
	}{
		"TLS 1.3":              {old, func(c *tls.Config) {}, ""},
		"TLS 1.2":              {old, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, ""},
		"TLS 1.1":              {old, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "unsupported versions"},
		"TLS 1.2 where 1.3 is": {mustLoad(t, strict), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "unsupported versions"},
		"no AEAD": {old, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		}, "no cipher suite"},
		"HTTP/1.1 among others":   {old, func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, ""},
		"HTTP/2 and nothing else": {old, func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "unsupported application protocols"},
	} {
		t.Run(name, func(t *testing.T) {
			client := anyName("a.example")
			test.change(client)
			state, _, err := meet(t, test.set, client)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if len(client.NextProtos) == 2 && state.NegotiatedProtocol != "http/1.1" {
				t.Errorf("speaks %q", state.NegotiatedProtocol)
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	root, foreign := authority(t, nil, "root"), authority(t, nil, "foreign")
	c := configOf(files(t, issue(t, nil, nil, []string{"a.example"}, nil)))
	c.ClientCAFile = write(t, filepath.Join(t.TempDir(), "ca.pem"), certPEM(root))
	s := mustLoad(t, c)
	for name, test := range map[string]struct {
		by *issued
		ok bool
	}{"none": {nil, false}, "of another authority": {foreign, false}, "of the authority": {root, true}} {
		client := anyName("a.example")
		if test.by != nil {
			made := issue(t, test.by, nil, []string{"client"}, nil)
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: [][]byte{made.Cert.Raw}, PrivateKey: made.Key}, nil
			}
		}
		if _, _, err := meet(t, s, client); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A client resumes its session at another node, and while the keys are rotated.
func TestTicketsOfAFleet(t *testing.T) {
	first, second, third := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	pair := files(t, issue(t, nil, nil, []string{"a.example"}, nil))
	node := func(keys ...string) *Set {
		c := configOf(pair)
		if len(keys) > 0 {
			c.TicketKeyFile = write(t, filepath.Join(t.TempDir(), "tickets"), []byte(strings.Join(keys, "\n")))
		}
		return mustLoad(t, c)
	}
	for name, test := range map[string]struct {
		from, to *Set
		resumed  bool
	}{
		"the same keys": {node(first), node(first), true},
		"a new key":     {node(first), node(second, first), true},
		"an old key":    {node(first, second), node(second, third), false},
		"no keys":       {node(), node(), false},
	} {
		client := anyName("a.example")
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i, s := range []*Set{test.from, test.to} {
			state, err, _ := meet(t, s, client)
			if err != nil || state.DidResume != (i == 1 && test.resumed) {
				t.Errorf("%s: handshake %d: %v, resumed %v", name, i, err, state.DidResume)
			}
		}
	}
}
