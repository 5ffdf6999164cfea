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
	"pushgate/internal/redistest"
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

// gatewayRights is what docs/OPERATIONS.md says a gateway's user needs.
var gatewayRights = strings.Fields("~{push:* &push:* +@connection +subscribe +unsubscribe +publish" +
	" +xrange +xrevrange +xinfo|stream +eval +evalsha +script|load +xadd +expire +get +set" +
	" +ssubscribe +sunsubscribe +spublish +cluster|slots +command")

// setRights makes a user gateway, with the password pw, that has those rights only.
func setRights(s *redistest.Server) {
	user := []any{"ACL", "SETUSER", "gateway", "reset", "on", ">pw"}
	for _, right := range gatewayRights {
		user = append(user, right)
	}
	s.Do(user...)
}

// useRights does everything that takes rights, by a broker of that user.
func useRights(t *testing.T, url string) {
	t.Helper()
	b := runBroker(t, testConfig(url))
	r := newRecorder()
	join(b, "rights", r)
	r.wait(t, "rights", 1)
	durable := PublishOptions{Durable: true, IdempotencyKey: "1"}
	if _, err := b.Publish(t.Context(), "rights", []byte("1"), durable); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.PublishBatch(t.Context(), []Publication{{"rights", []byte("2"), PublishOptions{Durable: true}}, {Channel: "rights"}}) {
		if p.Err != nil {
			t.Fatal(p.Err)
		}
	}
	r.wait(t, "rights", 4)
	if a := r.replay(t, b, "rights", Position{Ms: 1}); len(a.Messages) != 3 {
		t.Errorf("replayed %d messages", len(a.Messages))
	}
	waitReady(t, b)
}

func TestRights(t *testing.T) {
	server := startRedis(t)
	setRights(server.Server)
	useRights(t, "redis://gateway:pw@"+server.addr)
	operations, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range gatewayRights {
		if !strings.Contains(string(operations), right) {
			t.Errorf("docs/OPERATIONS.md lacks %s", right)
		}
	}

	// A channel that is refused takes the connection along: the reason says why.
	server.do("ACL", "SETUSER", "gateway", "resetchannels", "&push:|probe|*", "&push:rights")
	b := runBroker(t, testConfig("redis://gateway:pw@"+server.addr))
	waitReady(t, b)
	join(b, "other", newRecorder())
	eventually(t, "the reason is known", func() bool {
		return b.Ready() != nil && strings.Contains(b.Ready().Error(), "NOPERM") && strings.Contains(b.Ready().Error(), "&push:*")
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
