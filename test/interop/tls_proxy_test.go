package interop

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// startNginxStream runs nginx as a TCP proxy to a server that names the clients by PROXY headers.
func startNginxStream(t *testing.T, to string) (addr string) {
	t.Helper()
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	path := needs(t, "nginx")
	needsFile(t, module, "libnginx-mod-stream")
	addr = gatewaytest.Address(t)
	dir := t.TempDir()
	config := writeText(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`load_module %s;
daemon off;
pid %s/pid;
error_log stderr warn;
events { worker_connections 1024; }
stream { server { listen %s; proxy_pass %s; proxy_protocol on; } }
`, module, dir, addr, to))
	start(t, path, "-e", "stderr", "-p", dir, "-c", config)
	awaitListener(t, addr)
	return addr
}

// TestTLSBehindProxies: a TCP proxy passes TLS through, and its PROXY header in front of that names
// the client.
func TestTLSBehindProxies(t *testing.T) {
	haproxy := func(option string) func(*testing.T, *secured) string {
		return func(t *testing.T, s *secured) string {
			return startHAProxy(t, "mode tcp\n server one "+s.tls+" "+option).public
		}
	}
	c := newTLSCertificates(t)
	for name, test := range map[string]struct {
		protocol string
		proxy    func(*testing.T, *secured) string
	}{
		"nginx":                 {"v1", func(t *testing.T, s *secured) string { return startNginxStream(t, s.tls) }},
		"HAProxy send-proxy":    {"v1", haproxy("send-proxy")},
		"HAProxy send-proxy-v2": {"v2", haproxy("send-proxy-v2")},
		"HAProxy v2 with TLVs":  {"any", haproxy("send-proxy-v2 proxy-v2-options unique-id,crc32c")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startTLS(t, c, "--proxy.trusted", "127.0.0.1", "--proxy.protocol", test.protocol)
			addr := test.proxy(t, s)
			const client = "127.0.0.9"
			d := websocket.Dialer{TLSClientConfig: s.trust("1.3"), NetDialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).DialContext}
			conn, _, err := d.Dial("wss://"+addr+"/v1/ws?channels="+channel, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// PROXY headers give ports too.
			if got := s.addresses(); len(got) != 1 || !strings.HasPrefix(got[0], client+":") {
				t.Errorf("the clients are at %v, want %s", got, client)
			}
			// TLS without the header is no TLS to this port.
			if n, err := askOnce(s.tls, s.trust("1.3")); err == nil {
				t.Errorf("without a PROXY header it answers %d bytes", n)
			}
			conn.SetReadDeadline(time.Now().Add(patience))
			eventually(t, "it is subscribed", func() bool { return s.Redis.Publish(channel, `{}`) == 1 })
			for {
				_, text, err := conn.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				if new(report).take(text) == nil {
					return
				}
			}
		})
	}
}
