package fanout

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pushgate/internal/loopback"
)

func TestWaysToConnect(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	certificate, key := writeCertificate(t, dir)
	tlsAddr, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	_, tlsPort, _ := net.SplitHostPort(tlsAddr)
	server := startRedis(t, "--unixsocket", socket, "--requirepass", "secret",
		"--tls-port", tlsPort, "--tls-cert-file", certificate, "--tls-key-file", key,
		"--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
	tests := map[string]string{
		"tcp":  "redis://:secret@" + server.addr + "/3",
		"unix": "unix://:secret@" + socket,
		"tls":  "rediss://:secret@" + tlsAddr + "?skip_verify=true",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			b := runBroker(t, testConfig(url))
			r := newRecorder()
			join(b, "news", r)
			r.wait(t, "news", 1)
			waitReady(t, b)
			if _, err := b.Publish(t.Context(), "news", []byte("x"), PublishOptions{Durable: true}); err != nil {
				t.Fatal(err)
			}
			r.wait(t, "news", 2)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		b := runBroker(t, testConfig("redis://:wrong@"+server.addr))
		eventually(t, "the reason is known", func() bool {
			return b.Ready() != nil && strings.Contains(b.Ready().Error(), "WRONGPASS")
		})
	})
}

// writeCertificate makes a self-signed one.
func writeCertificate(t *testing.T, dir string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}
