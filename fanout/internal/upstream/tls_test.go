package upstream

import (
	"net"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// TestServersHaveNamesOfTheirOwn: a server that a Cluster or a Sentinel names may
// have a certificate for that name, or one for the name in the URL.
func TestServersHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]string{"the URL's": "localhost", "its own": "127.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			certs := redistest.NewCertificates(t, host)
			sentinel := redistest.StartSecureSentinel(t, certs) // it names its master by its address
			_, port, _ := net.SplitHostPort(sentinel.Addr)
			url := "rediss+sentinel://localhost:" + port + "?master_name=" + redistest.MasterName
			p, err := parse(url, TLS{CAFile: certs.CA, CertFile: certs.Client, KeyFile: certs.ClientKey})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := p.tls.dialer(time.Minute)(t.Context(), "tcp", sentinel.Master.Secure)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	}
}
