package gatewaytest

import (
	"crypto/tls"
	"net"
	"testing"
)

// ClientHello returns the first bytes of a TLS client.
func ClientHello(t testing.TB) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() { // ends once near is closed
		tls.Client(far, &tls.Config{ServerName: "localhost"}).Handshake()
		far.Close()
	}()
	b := make([]byte, 16<<10)
	n, err := near.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
