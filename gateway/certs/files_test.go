package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	root := authority(t, nil, "root")
	a, b := issue(t, root, nil, []string{"a.example"}, nil), issue(t, root, nil, []string{"b.example"}, nil)
	file := func(name string, text []byte) string { return write(t, filepath.Join(dir, name), text) }
	cert, key := file("a.pem", certPEM(a, root)), file("a.key", keyPEM(t, a.Key))
	otherKey := file("b.key", keyPEM(t, b.Key))
	backwards := file("backwards.pem", certPEM(root, a))
	broken := file("broken.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")}))
	locked := file("locked.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	empty, tickets := file("empty", nil), file("tickets", []byte("# one\nc2hvcnQ=\n"))
	missing := filepath.Join(dir, "missing")
	for name, test := range map[string]struct {
		files  Files
		change func(c *Config)
		want   []string // parts, in order; the first is the beginning
	}{
		"no such file":         {files: Files{missing, key}, want: []string{"tls.certificates[0].cert_file: \"" + missing + "\" is not allowed, want a file with the certificate and its chain in PEM: ", "no such file"}},
		"a directory":          {files: Files{cert, dir}, want: []string{"tls.certificates[0].key_file: ", "not a regular file"}},
		"empty":                {files: Files{empty, key}, want: []string{"tls.certificates[0].cert_file: ", "in PEM: no certificate in it"}},
		"switched":             {files: Files{key, cert}, want: []string{"tls.certificates[0].cert_file: ", "in PEM: it holds a private key and no certificate"}},
		"broken":               {files: Files{broken, key}, want: []string{"tls.certificates[0].cert_file: ", "certificate 1 in it: x509: "}},
		"another's key":        {files: Files{cert, otherKey}, want: []string{"tls.certificates[0].key_file: \"" + otherKey + "\" is not allowed, want a file with the private key of cert_file in PEM: it is the key of another certificate"}},
		"no key":               {files: Files{cert, cert}, want: []string{"tls.certificates[0].key_file: ", "in PEM: no private key in it"}},
		"a passphrase":         {files: Files{cert, locked}, want: []string{"tls.certificates[0].key_file: ", "want a private key without a passphrase: openssl pkey"}},
		"the chain first":      {files: Files{backwards, key}, want: []string{"tls.certificates[0].cert_file: ", "want the server's certificate first, and its chain behind it"}},
		"no authority":         {files: Files{cert, key}, change: func(c *Config) { c.ClientCAFile = key }, want: []string{"tls.client_ca_file: ", "want a file with certificates in PEM: it holds a private key"}},
		"unreadable authority": {files: Files{cert, key}, change: func(c *Config) { c.ClientCAFile = missing }, want: []string{"tls.client_ca_file: ", "no such file"}},
		"bad ticket keys":      {files: Files{cert, key}, change: func(c *Config) { c.TicketKeyFile = tickets }, want: []string{"tls.ticket_key_file: ", "as from openssl rand -base64 32: line 2 has 5 bytes"}},
		"several": {
			files: Files{missing, missing}, change: func(c *Config) { c.Certificates = append(c.Certificates, Files{cert, otherKey}) },
			want: []string{"tls.certificates[0].cert_file: ", "tls.certificates[0].key_file: ", "tls.certificates[1].key_file: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := configOf(test.files)
			if test.change != nil {
				test.change(&c)
			}
			_, err := Load(c)
			if err == nil || !errors.As(err, new(*ConfigError)) {
				t.Fatalf("got %v", err)
			}
			rest := err.Error()
			for i, part := range test.want {
				at := strings.Index(rest, part)
				if at < 0 || i == 0 && at > 0 {
					t.Fatalf("got  %v\nwant %q", err, test.want)
				}
				rest = rest[at+len(part):]
			}
		})
	}
}

func TestLoadTakesEveryForm(t *testing.T) {
	one := issue(t, nil, nil, []string{"a.example"}, nil)
	pkcs1 := issue(t, nil, newRSA(t, 2048), []string{"b.example", "10.0.0.1"}, nil)
	dir := t.TempDir()
	both := write(t, filepath.Join(dir, "both.pem"), slices.Concat([]byte("a comment\n"), keyPEM(t, one.Key), certPEM(one)))
	sec1, err := x509.MarshalECPrivateKey(one.Key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	older := write(t, filepath.Join(dir, "older.key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	s := mustLoad(t, configOf(Files{both, both}, Files{both, older}, files(t, pkcs1)))
	got := s.Certificates()
	if len(got) != 3 || got[0].Name != "a.example" || got[2].KeyType != "RSA 2048" || !slices.Equal(got[2].Names, []string{"b.example", "10.0.0.1"}) {
		t.Errorf("%+v", got)
	}
	if len(got[0].Fingerprint) != 64 || got[0].Fingerprint == got[2].Fingerprint || !got[0].NotAfter.Equal(one.Cert.NotAfter) {
		t.Errorf("%+v", got[0])
	}
	if s := mustLoad(t, DefaultConfig()); len(s.Certificates()) != 0 || s.Changed() || s.TLS() == nil {
		t.Error("without a listener there is something")
	}
}

// Files are replaced by writing them again, by a rename, and by a link to another directory.
func TestChanged(t *testing.T) {
	root := authority(t, nil, "root")
	renewed := func() *issued { return issue(t, root, nil, []string{"a.example"}, nil) }
	for name, replace := range map[string]func(f Files, dir string){
		"in place": func(f Files, _ string) {
			if err := os.WriteFile(f.CertFile, certPEM(renewed()), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"by a rename":    func(f Files, _ string) { write(t, f.CertFile, certPEM(renewed())) },
		"the key":        func(f Files, _ string) { write(t, f.KeyFile, keyPEM(t, newKey(t))) },
		"the authority":  func(f Files, dir string) { write(t, filepath.Join(dir, "ca.pem"), certPEM(renewed())) },
		"the tickets":    func(f Files, dir string) { write(t, filepath.Join(dir, "tickets"), []byte(strings.Repeat("b", 64))) },
		"it is gone":     func(f Files, _ string) { os.Remove(f.KeyFile) },
		"to another one": func(_ Files, dir string) { link(t, "second", filepath.Join(dir, "..data")) },
	} {
		t.Run(name, func(t *testing.T) {
			// As Kubernetes mounts a secret: ..data is a link to a directory with the files.
			dir := t.TempDir()
			f := Files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
			for _, version := range []string{"first", "second"} {
				if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
					t.Fatal(err)
				}
				made := renewed()
				write(t, filepath.Join(dir, version, "tls.crt"), certPEM(made, root))
				write(t, filepath.Join(dir, version, "tls.key"), keyPEM(t, made.Key))
			}
			link(t, "first", filepath.Join(dir, "..data"))
			link(t, "..data/tls.crt", f.CertFile)
			link(t, "..data/tls.key", f.KeyFile)
			c := configOf(f)
			c.ClientCAFile = write(t, filepath.Join(dir, "ca.pem"), certPEM(root))
			c.TicketKeyFile = write(t, filepath.Join(dir, "tickets"), []byte(strings.Repeat("a", 64)))
			s := mustLoad(t, c)
			if s.Changed() {
				t.Fatal("changed without a change")
			}
			// The same bytes, written again, are no change.
			write(t, filepath.Join(dir, "first", "tls.crt"), read(t, f.CertFile))
			if err := os.Chtimes(f.KeyFile, time.Now(), time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if s.Changed() {
				t.Fatal("changed with the same content")
			}
			replace(f, dir)
			if !s.Changed() {
				t.Error("not changed")
			}
		})
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".next", name); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTicketKeys(t *testing.T) {
	const (
		base64Key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
		hexKey    = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	)
	for name, test := range map[string]struct {
		text string
		keys int
		want string // a part of the error
	}{
		"base64":           {base64Key, 1, ""},
		"without padding":  {strings.TrimRight(base64Key, "="), 1, ""},
		"the URL alphabet": {strings.Repeat("-_", 21) + "A=", 1, ""},
		"hex":              {hexKey + "\n" + strings.ToUpper(hexKey) + "\r\n", 2, ""},
		"comments":         {"\ufeff# rotated in May\n\n  " + base64Key + " \n# the last\n" + hexKey, 2, ""},
		"empty":            {"", 0, "no key in it"},
		"only comments":    {"# none yet\n", 0, "no key in it"},
		"too short":        {hexKey + "\n" + base64Key[:20] + "\n", 0, "line 2 has 15 bytes"},
		"hex of 48 bytes":  {hexKey + hexKey[:32], 0, "line 1 has 72 bytes"},
		"no text":          {"\x00\x01\x02\x80", 0, "line 1 is neither base64 nor hex"},
		"too many":         {strings.Repeat(hexKey+"\n", maxTicketKeys+1), 0, "17 keys in it, at most 16 are taken"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := parseTicketKeys([]byte(test.text))
			if len(keys) != test.keys || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d keys, %v, want %d, %s", len(keys), err, test.keys, test.want)
			}
		})
	}
	keys, err := parseTicketKeys([]byte(base64Key + "\n" + hexKey))
	if err != nil || keys[0] != keys[1] || keys[0][31] != 31 {
		t.Errorf("%x, %v", keys, err)
	}
}
