package interop

import (
	"context"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// tlsVersions are those that clients have in common with the gateway.
var tlsVersions = []string{"1.2", "1.3"}

// withOpenSSL returns the environment of a program that uses OpenSSL's defaults: the authority
// that it trusts, and its version of TLS.
func (s *secured) withOpenSSL(version string) []string {
	file := filepath.Join(s.t.TempDir(), "openssl.cnf")
	writeText(s.t, file, "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = versions\n"+
		"[versions]\nMinProtocol = TLSv"+version+"\nMaxProtocol = TLSv"+version+"\n")
	return []string{"SSL_CERT_FILE=" + s.ca, "OPENSSL_CONF=" + file}
}

// TestTLSPlays has clients of several languages, and a browser by all of its ways, play their parts
// together against one gateway, in both versions of TLS.
func TestTLSPlays(t *testing.T) {
	py, modules := python(t), npmInstall(t, "ws@8")
	needs(t, "chromium")
	c := newTLSCertificates(t)
	s := startTLS(t, c, append([]string{"--heartbeat.interval", "5s", "--heartbeat.timeout", "5s"}, largeRing...)...)

	plays := map[string]player{}
	for _, version := range tlsVersions {
		config := s.trust(version)
		plays["gorilla "+version] = func(ctx context.Context, url string, say func(string)) (report, error) {
			return playGorilla(ctx, &gorilla.Dialer{TLSClientConfig: config}, url, say)
		}
		plays["coder "+version] = func(ctx context.Context, url string, say func(string)) (report, error) {
			transport := &http.Transport{TLSClientConfig: config.Clone()}
			defer transport.CloseIdleConnections()
			return playCoder(ctx, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}}, url, say)
		}
		plays["Python "+version] = script(py, []string{"testdata/client.py"}, s.withOpenSSL(version)...)
		plays["Node "+version] = script("node", []string{"--tls-min-v" + version, "--tls-max-v" + version, "testdata/client.js"},
			"NODE_PATH="+modules, "NODE_EXTRA_CA_CERTS="+s.ca)
	}
	performances := map[string]*performance{}
	for name, play := range plays {
		performances[name] = begin(t, "wss://"+s.tls+"/v1/ws", play)
	}
	type paged struct {
		said     <-chan string
		reported <-chan browsed
	}
	pages := map[string]paged{}
	for _, version := range tlsVersions {
		said, reported := playChromium(t, "https://"+s.tls, "--ssl-version-min=tls"+version, "--ssl-version-max=tls"+version,
			"--ignore-certificate-errors-spki-list="+fingerprint(t, c.Server))
		pages["Chromium "+version] = paged{said, reported}
	}
	awaitAll := func(line string) {
		t.Helper()
		var none error
		for name, p := range performances {
			t.Logf("%s: %s?", name, line)
			await(t, p.said, line, &p.err)
		}
		for name, p := range pages {
			t.Logf("%s: %s?", name, line)
			await(t, p.said, line, &none)
		}
	}
	awaitAll("subscribed")
	s.publish(channel)
	awaitAll("waiting")
	eventually(t, "the gateway has pinged all", func() bool {
		return s.Metric("gateway_pings_total") >= float64(len(performances)+len(pages))
	})
	if n := s.Metric(`gateway_closes_total{reason="timeout"}`); n != 0 {
		t.Errorf("%v connections ended for a ping without an answer", n)
	}
	for _, version := range tlsVersions {
		var n float64
		for _, resumed := range []string{"false", "true"} {
			n += s.Metric(`gateway_tls_handshakes_total{resumed="` + resumed + `",version="` + version + `"}`)
		}
		// Each of the four has three connections, the browser five.
		if n < 4*3+5 {
			t.Errorf("%v handshakes of TLS %s", n, version)
		}
	}
	if n := s.Metric("gateway_tls_failures_total{"); n != 0 {
		t.Errorf("%v connections have failed in TLS", n)
	}
	s.Signal(syscall.SIGTERM)
	for name, p := range performances {
		t.Run(name, p.judge)
	}
	for name, p := range pages {
		t.Run(name, func(t *testing.T) { judgeChromium(t, p.said, p.reported) })
	}
	s.Exits()
}
