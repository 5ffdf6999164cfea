package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/certs"
)

func TestWelcome(t *testing.T) {
	full := welcome{
		program: "bin/gateway", public: "127.0.0.1:8080", admin: "127.0.0.1:8081",
		embedded: "127.0.0.1:6380", prefix: "push:",
	}
	for name, test := range map[string]struct {
		change func(w *welcome)
		want   []string
		absent []string
	}{
		"defaults": {
			want: []string{
				"curl -N 'http://127.0.0.1:8080/v1/sse?channels=news'\n",
				"http://127.0.0.1:8081/console/ ",
				"redis-cli -h 127.0.0.1 -p 6380 publish push:news hello\n",
				"  bin/gateway publish news hello\n",
			},
		},
		"every address is dialled as this machine": {
			change: func(w *welcome) { w.public = "[::]:8080" },
			want:   []string{"'ws://127.0.0.1:8080/v1/ws?channels=news'"},
		},
		"another embedded address": {
			change: func(w *welcome) { w.embedded = "127.0.0.1:7000" },
			want:   []string{"-p 7000 ", "  bin/gateway publish news hello --redis.embedded 127.0.0.1:7000\n"},
		},
		"no admin listener": {
			change: func(w *welcome) { w.admin = "" },
			want:   []string{"/v1/sse"},
			absent: []string{"console"},
		},
		"a socket can't be opened by these programs": {
			change: func(w *welcome) { w.public = "unix:/run/gateway.sock" },
			want:   []string{"publish push:news hello"},
			absent: []string{"/v1/", "unix:"},
		},
		"TLS": {
			change: func(w *welcome) {
				w.tls, w.certificate = "[::]:443", certs.Certificate{Name: "www.example.com"}
			},
			want:   []string{"http://127.0.0.1:8080/", "  wss://www.example.com:443/v1/ws?channels=news\n"},
			absent: []string{"self-signed", "--cacert"},
		},
		"TLS for all names of a domain": {
			change: func(w *welcome) { w.tls, w.certificate = "[::]:443", certs.Certificate{Name: "*.example.com"} },
			want:   []string{"  wss://127.0.0.1:443/v1/ws?channels=news\n"},
		},
		"TLS alone, self-signed": {
			change: func(w *welcome) {
				w.public, w.tls, w.selfSigned, w.certFile = "", "127.0.0.1:8443", true, "/tmp/pushgate-8443.pem"
				w.certificate = certs.Certificate{Fingerprint: "00ab9f"}
			},
			want: []string{
				"  curl -N --cacert /tmp/pushgate-8443.pem 'https://127.0.0.1:8443/v1/sse?channels=news'\n",
				"  SSL_CERT_FILE=/tmp/pushgate-8443.pem python3 -m websockets 'wss://127.0.0.1:8443/v1/ws?channels=news'\n",
				"  00:AB:9F\n", "/console/",
			},
			absent: []string{"'http://", "ws://:"},
		},
		"TLS, self-signed, without a file": {
			change: func(w *welcome) { w.tls, w.selfSigned = "127.0.0.1:8443", true },
			want:   []string{"  curl -N -k 'https://127.0.0.1:8443/v1/sse?channels=news'\n", "  wss://127.0.0.1:8443/v1/ws"},
			absent: []string{"--cacert"},
		},
		"a real Redis": {
			change: func(w *welcome) { w.embedded = "" },
			absent: []string{"publish", "curl"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := full
			if test.change != nil {
				test.change(&w)
			}
			var out strings.Builder
			writeWelcome(&out, w)
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("lacks %q:\n%s", want, &out)
				}
			}
			for _, absent := range test.absent {
				if strings.Contains(out.String(), absent) {
					t.Errorf("has %q:\n%s", absent, &out)
				}
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
