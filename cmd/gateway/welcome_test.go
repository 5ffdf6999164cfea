package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/certs"
)

func TestWelcome(t *testing.T) {
	const subscribe = `Subscribe, in a second terminal:
  curl -N 'http://127.0.0.1:8080/v1/sse?channels=news'
  python3 -m websockets 'ws://127.0.0.1:8080/v1/ws?channels=news'
  or open http://127.0.0.1:8081/console/ in a browser
`
	const publish = `Publish, in a third one:
  redis-cli -h 127.0.0.1 -p 6380 publish push:news hello
  bin/gateway publish news hello
`
	tls := func(w *welcome) {
		w.tls, w.certificate = "[::]:443", certs.Certificate{Names: []string{"push.example.com", "push.example.net"}}
	}
	selfSigned := func(w *welcome) {
		w.tls, w.selfSigned, w.certFile = "127.0.0.1:8443", true, "/tmp/pushgate-8443.pem"
		w.certificate = certs.Certificate{Names: []string{"localhost", "127.0.0.1"}, Fingerprint: "00ab9f"}
	}
	for name, test := range map[string]struct {
		change func(w *welcome)
		want   string // behind the first line
	}{
		"defaults": {
			func(w *welcome) {},
			subscribe + publish,
		},
		"every address is dialled as this machine": {
			func(w *welcome) { w.public = "[::]:8080" },
			subscribe + publish,
		},
		"another embedded address": {
			func(w *welcome) { w.embedded = "127.0.0.1:7000" },
			subscribe + `Publish, in a third one:
  redis-cli -h 127.0.0.1 -p 7000 publish push:news hello
  bin/gateway publish news hello --redis.embedded 127.0.0.1:7000
`,
		},
		"no admin listener": {
			func(w *welcome) { w.admin = "" },
			`Subscribe, in a second terminal:
  curl -N 'http://127.0.0.1:8080/v1/sse?channels=news'
  python3 -m websockets 'ws://127.0.0.1:8080/v1/ws?channels=news'
` + publish,
		},
		"a socket can't be opened by these programs": {
			func(w *welcome) { w.public = "unix:/run/gateway.sock" },
			publish,
		},
		"TLS beside": {
			tls,
			subscribe + `Or with TLS:
  curl -N 'https://push.example.com:443/v1/sse?channels=news'
  python3 -m websockets 'wss://push.example.com:443/v1/ws?channels=news'
` + publish,
		},
		"TLS alone": {
			func(w *welcome) { tls(w); w.public = "" },
			`Subscribe, in a second terminal:
  curl -N 'https://push.example.com:443/v1/sse?channels=news'
  python3 -m websockets 'wss://push.example.com:443/v1/ws?channels=news'
  or open http://127.0.0.1:8081/console/ in a browser
` + publish,
		},
		"TLS beside a socket, for all names of a domain": {
			func(w *welcome) {
				w.public, w.tls, w.admin = "unix:/run/gateway.sock", "[::]:443", ""
				w.certificate.Names = []string{"*.example.com"}
			},
			`Subscribe, in a second terminal:
  curl -N 'https://127.0.0.1:443/v1/sse?channels=news'
  python3 -m websockets 'wss://127.0.0.1:443/v1/ws?channels=news'
` + publish,
		},
		"TLS, for clients with certificates": {
			func(w *welcome) { tls(w); w.clientCerts = true },
			subscribe + `Or with TLS:
  curl -N --cert CLIENT.pem --key CLIENT.key 'https://push.example.com:443/v1/sse?channels=news'
` + publish,
		},
		"self-signed beside": {
			selfSigned,
			subscribe + `Or with TLS:
  curl -N --cacert /tmp/pushgate-8443.pem 'https://127.0.0.1:8443/v1/sse?channels=news'
  SSL_CERT_FILE=/tmp/pushgate-8443.pem python3 -m websockets 'wss://127.0.0.1:8443/v1/ws?channels=news'
The certificate is self-signed; its SHA-256 is
  00:AB:9F
` + publish,
		},
		"self-signed alone": {
			func(w *welcome) { selfSigned(w); w.public = "" },
			`Subscribe, in a second terminal:
  curl -N --cacert /tmp/pushgate-8443.pem 'https://127.0.0.1:8443/v1/sse?channels=news'
  SSL_CERT_FILE=/tmp/pushgate-8443.pem python3 -m websockets 'wss://127.0.0.1:8443/v1/ws?channels=news'
  or open https://127.0.0.1:8443/ in a browser, accept the certificate, and go to http://127.0.0.1:8081/console/
The certificate is self-signed; its SHA-256 is
  00:AB:9F
` + publish,
		},
		"self-signed, without a file, for clients with certificates": {
			func(w *welcome) { selfSigned(w); w.certFile, w.clientCerts, w.public, w.admin = "", true, "", "" },
			`Subscribe, in a second terminal:
  curl -N -k --cert CLIENT.pem --key CLIENT.key 'https://127.0.0.1:8443/v1/sse?channels=news'
The certificate is self-signed; its SHA-256 is
  00:AB:9F
` + publish,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := welcome{
				program: "bin/gateway", public: "127.0.0.1:8080", admin: "127.0.0.1:8081",
				embedded: "127.0.0.1:6380", prefix: "push:",
			}
			test.change(&w)
			var out strings.Builder
			writeWelcome(&out, w)
			want := "\nRunning with an embedded Redis: one node, and nothing survives a restart.\n\n" + test.want + "\n"
			if out.String() != want {
				t.Errorf("got\n%s\nwant\n%s", &out, want)
			}
			out.Reset()
			w.embedded = "" // a real one
			if writeWelcome(&out, w); out.Len() > 0 {
				t.Errorf("with a Redis it says\n%s", &out)
			}
		})
	}
}

// The file has the certificate and no key, replaces an older one, and follows no link.
func TestWriteCertificate(t *testing.T) {
	cfg := certs.DefaultConfig()
	cfg.SelfSigned = true
	set, err := certs.Load(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, other := filepath.Join(dir, "pushgate-1.pem"), filepath.Join(dir, "other")
	writeFile(t, other, "untouched")
	if err := os.Symlink(other, file); err != nil {
		t.Fatal(err)
	}
	if err := writeCertificate(file, set.Certificates()[0]); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "-----BEGIN CERTIFICATE-----\n") || strings.Contains(string(text), "KEY") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, _ := os.ReadFile(other); string(text) != "untouched" {
		t.Errorf("the link's target is now %s", text)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("files are left: %v", left)
	}
	if err := writeCertificate(filepath.Join(dir, "missing", "a.pem"), set.Certificates()[0]); err == nil {
		t.Error("wrote into a directory that is missing")
	}
}
