package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/certs"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// startTLS runs a gateway that listens in the clear and over TLS.
func startTLS(t testing.TB, change func(*gateway.Config)) (*instance, *redistest.Certificates) {
	t.Helper()
	files := redistest.NewCertificates(t, "127.0.0.1", "localhost")
	return start(t, func(c *gateway.Config) {
		c.TLS.Listen = "127.0.0.1:0"
		c.TLS.Certificates = []certs.Files{{CertFile: files.Server, KeyFile: files.ServerKey}}
		if change != nil {
			change(c)
		}
	}), files
}

// trusting returns a client's configuration that trusts the authority of the files.
func trusting(t testing.TB, files *redistest.Certificates) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

// dialTLS connects to the TLS listener.
func (in *instance) dialTLS(config *tls.Config) *tls.Conn {
	in.t.Helper()
	c, err := tls.Dial("tcp", in.TLSAddr(), config)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// failures returns the TLS failures for a reason.
func (in *instance) failures(reason reasons.TLS) float64 {
	return in.metric(fmt.Sprintf(`gateway_tls_failures_total{reason="%s"}`, reason))
}

func request(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: gateway\r\n\r\n" }

// insist calls fn until it succeeds, and returns how often it failed: a rejected client has a second, which a pause
// of a busy machine can take.
func insist(t testing.TB, fn func() error) (failed int) {
	t.Helper()
	for err := fn(); err != nil; err = fn() {
		if failed++; failed == 10 {
			t.Fatal(err)
		}
	}
	return failed
}

// A client that is rejected learns why over TLS, and a health check is served all the same.
func TestRejectedOverTLS(t *testing.T) {
	in, files := startTLS(t, func(c *gateway.Config) { c.Limits.Connections = 1 })
	config := trusting(t, files)
	held := in.dialTLS(config)
	fmt.Fprint(held, request("/v1/sse?channels=news"))
	if line, err := bufio.NewReader(held).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatal(line, err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	lost := 0
	for path, want := range map[string]int{"/v1/poll?channels=news": 503, "/healthz": 200} {
		var r *http.Response
		lost += insist(t, func() (err error) {
			r, err = client.Get("https://" + in.TLSAddr() + path)
			return err
		})
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != want || err != nil {
			t.Errorf("%s: %d %s %v", path, r.StatusCode, body, err)
		}
	}
	eventually(t, "one is counted as rejected", func() bool { return in.totals().rejects[reasons.RejectConnections] == uint64(1+lost) })
	// Without a request they get a response in time.
	insist(t, func() error {
		silent, err := tls.Dial("tcp", in.TLSAddr(), config)
		if err != nil {
			return err
		}
		defer silent.Close()
		silent.SetDeadline(time.Now().Add(patience))
		r, err := http.ReadResponse(bufio.NewReader(silent), nil)
		if err == nil && r.StatusCode != 503 {
			t.Errorf("silent: %s", r.Status)
		}
		return err
	})
	eventually(t, "only one connection is left", func() bool { return in.totals().connections == 1 })
	held.Close()
	eventually(t, "there is room again", func() bool {
		c, err := tls.Dial("tcp", in.TLSAddr(), config)
		if err != nil {
			return false
		}
		defer c.Close()
		fmt.Fprint(c, request("/v1/sse?channels=news"))
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.Contains(line, " 200 ")
	})
}

// The console is told the address of the TLS listener, and none of a plain one that isn't there.
func TestConsoleOverTLS(t *testing.T) {
	in, _ := startTLS(t, func(c *gateway.Config) { c.Listen = "" })
	want := fmt.Sprintf(`{"public":"","tls":%q}`, in.TLSAddr())
	if status, body := in.get("http://" + in.AdminAddr() + "/console/config.json"); status != 200 || strings.TrimSpace(body) != want {
		t.Errorf("%d %s, want %s", status, body, want)
	}
}

// Of a gateway on all addresses the console is told the name by which its page was reached, if the
// certificate is for it.
func TestConsoleOnAllAddresses(t *testing.T) {
	in, _ := startTLS(t, func(c *gateway.Config) { c.Listen, c.TLS.Listen, c.Auth.AllowAnonymous = "", "0.0.0.0:0", true })
	_, port, _ := net.SplitHostPort(in.TLSAddr())
	_, adminPort, _ := net.SplitHostPort(in.AdminAddr())
	for host, want := range map[string]string{"127.0.0.1": "127.0.0.1", "localhost": "localhost"} {
		want = fmt.Sprintf(`{"public":"","tls":"%s:%s"}`, want, port)
		if status, body := in.get("http://" + net.JoinHostPort(host, adminPort) + "/console/config.json"); status != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s: %d %s, want %s", host, status, body, want)
		}
	}
}

// A client behind a proxy whose address has too many connections learns so over TLS, and takes no seat.
func TestOverAddressOverTLS(t *testing.T) {
	t.Parallel()
	in, files := startTLS(t, func(c *gateway.Config) {
		c.Proxy.Protocol, c.Proxy.Trusted = "v1", []string{"127.0.0.0/8"}
		c.Limits.ConnectionsPerAddress = 1
	})
	config := trusting(t, files)
	config.ServerName = "localhost"
	lost := 0
	get := func(path string) (status int, body string) {
		t.Helper()
		lost += insist(t, func() error {
			c, err := net.Dial("tcp", in.TLSAddr())
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, fromProxy)
			s := tls.Client(c, config)
			io.WriteString(s, request(path))
			r, err := http.ReadResponse(bufio.NewReader(s), nil)
			if err != nil {
				return err
			}
			if status = r.StatusCode; status != 200 || r.ContentLength >= 0 {
				b, _ := io.ReadAll(r.Body)
				body = string(b)
			}
			return nil
		})
		return status, body
	}
	if status, body := get("/v1/sse?channels=news"); status != 200 {
		t.Fatal(status, body)
	}
	if status, body := get("/v1/poll?channels=news"); status != 503 || !strings.Contains(body, "too_many_from_address") {
		t.Errorf("the second client: %d %s", status, body)
	}
	if status, body := get("/healthz"); status != 200 {
		t.Errorf("a health check: %d %s", status, body)
	}
	eventually(t, "one is counted as rejected, the other as connected", func() bool {
		now := in.totals()
		return now.rejects[reasons.RejectAddress] == uint64(1+lost) && now.connections == 1
	})
}

// More clients than may be in a handshake wait for their turn, and are not refused.
func TestHandshakesWait(t *testing.T) {
	t.Parallel()
	in, files := startTLS(t, func(c *gateway.Config) {
		c.TLS.Handshakes = 2               // one a shard
		c.Limits.HeadTimeout = time.Minute // those that don't answer end earlier
	})
	config := trusting(t, files)
	// Each of these takes a place until its time is up.
	var lame []net.Conn
	hello := gatewaytest.ClientHello(t)
	for range 6 {
		c, err := net.Dial("tcp", in.TLSAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(hello)
		lame = append(lame, c)
	}
	eventually(t, "the places are taken", func() bool {
		return in.metric(`gateway_tls_handshakes_in_progress{state="waiting"}`) > 0
	})
	lame[5].Close() // one that doesn't wait
	var served sync.WaitGroup
	for range 20 {
		served.Go(func() {
			c, err := tls.Dial("tcp", in.TLSAddr(), config)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprint(c, request("/healthz"))
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
				t.Error(line, err)
			}
		})
	}
	served.Wait()
	eventually(t, "nothing is in progress", func() bool {
		return in.metric(`gateway_tls_handshakes_in_progress{state="waiting"}`)+in.metric(`gateway_tls_handshakes_in_progress{state="running"}`) == 0
	})
	if n := in.failures(reasons.TLSTimeout) + in.failures(reasons.TLSLeft); n < 6 {
		t.Errorf("%v handshakes timed out or were left", n)
	}
}

// Each loop has a place, however few there are in all.
func TestFewerHandshakesThanLoops(t *testing.T) {
	in, files := startTLS(t, func(c *gateway.Config) { c.Shards, c.TLS.Handshakes = 3, 1 })
	for range 24 { // on all of them, most likely
		c := in.dialTLS(trusting(t, files))
		fmt.Fprint(c, request("/healthz"))
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
			t.Fatal(line, err)
		}
	}
}

// With an authority for clients, each needs a certificate, whose name is the user of its messages.
func TestClientCertificates(t *testing.T) {
	in, files := startTLS(t, func(c *gateway.Config) {
		c.TLS.ClientCAFile = c.TLS.Certificates[0].CertFile // replaced below
		c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}}
	})
	config := trusting(t, files)
	pair, err := tls.LoadX509KeyPair(files.Client, files.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	with := config.Clone()
	with.Certificates = []tls.Certificate{pair}
	// The wrong authority first: the same certificate is refused, then accepted after a reload.
	expectRefused := func(config *tls.Config) {
		t.Helper()
		c, err := tls.Dial("tcp", in.TLSAddr(), config)
		if err == nil {
			c.SetDeadline(time.Now().Add(patience))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("not refused: %v", err)
		}
	}
	expectRefused(with)
	cfg := in.Config()
	cfg.TLS.ClientCAFile = files.CA
	if refused, err := in.Reload(cfg); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	expectRefused(config)
	if n := in.failures(reasons.TLSCertificate); n != 2 {
		t.Errorf("%v failures for a certificate", n)
	}
	d := websocket.Dialer{TLSClientConfig: with}
	ws, _, err := d.Dial("wss://"+in.TLSAddr()+"/v1/ws?channels=news", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	c := &client{Conn: ws, t: t}
	for c.next().Type != "subscribed" {
	}
	c.WriteMessage(websocket.TextMessage, []byte(`{"type":"publish","channel":"news","data":"hi"}`))
	for {
		if e := c.next(); e.Type == "message" {
			if e.User == nil || *e.User != "gateway" {
				t.Errorf("the message's user is %v", e.User)
			}
			return
		}
	}
}

// Certificates are replaced while clients are connected, and kept while the files can't be used.
func TestCertificatesAreReplaced(t *testing.T) {
	t.Parallel()
	// As the runbook quotes it.
	const complaint = "the TLS files have changed but can't be used; keeping the present certificates"
	if !strings.Contains(read(t, "../docs/RUNBOOK.md"), "`"+complaint+"`") {
		t.Errorf("the runbook doesn't quote %q", complaint)
	}
	const usable, reloaded = "gateway_tls_files_usable", "gateway_config_last_reload_successful"
	in, files := startTLS(t, func(c *gateway.Config) { c.Limits.HeadTimeout = time.Minute })
	config := trusting(t, files)
	serial := func() string {
		c := in.dialTLS(config)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	stays := in.dialTLS(config)
	first := serial()
	good, err := os.ReadFile(files.Server)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files.Server, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rubbish is noticed", func() bool { return strings.Contains(in.log.String(), complaint) })
	if !strings.Contains(in.log.String(), "tls.certificates[0].cert_file: ") || in.metric(usable) != 0 || serial() != first {
		t.Error("the log doesn't say why, the metric says that all is well, or rubbish was taken over")
	}
	if in.metric(reloaded) != 1 {
		t.Error("a reload failed that nobody asked for")
	}
	if _, err := in.Reload(in.Config()); err == nil || in.metric(reloaded) != 0 {
		t.Error("a reload with rubbish succeeded")
	}
	if err := os.WriteFile(files.Server, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Reload(in.Config()); err != nil {
		t.Error(err)
	}
	if in.metric(reloaded) != 1 || in.metric(usable) != 1 {
		t.Error("the last reload was good")
	}
	files.RenewServer()
	eventually(t, "the new certificate is in use", func() bool { return serial() != first })
	eventually(t, "the metric knows", func() bool { return in.metric(usable) == 1 })
	fmt.Fprint(stays, request("/healthz"))
	if line, err := bufio.NewReader(stays).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Error("a client that was connected:", line, err)
	}
}

// A reload that fails because of the files in use says so in the metric at once, and one that fails
// because of others doesn't.
func TestReloadedCertificatesAreUnusable(t *testing.T) {
	const usable = "gateway_tls_files_usable"
	in, files := startTLS(t, nil)
	cfg := in.Config()
	cfg.TLS.Certificates = []certs.Files{{CertFile: files.CA, KeyFile: files.ServerKey}}
	if _, err := in.Reload(cfg); err == nil || in.metric(usable) != 1 {
		t.Errorf("files that aren't in use: %v, usable is %v", err, in.metric(usable))
	}
	if err := os.WriteFile(files.Server, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Reload(in.Config()); err == nil || in.metric(usable) != 0 {
		t.Errorf("the files in use: %v, usable is %v", err, in.metric(usable))
	}
}

// The metrics have the times of the certificate that clients see.
func TestCertificateTimes(t *testing.T) {
	in, files := startTLS(t, nil)
	leaf := in.dialTLS(trusting(t, files)).ConnectionState().PeerCertificates[0]
	for name, want := range map[string]time.Time{"not_before": leaf.NotBefore, "not_after": leaf.NotAfter} {
		series := fmt.Sprintf(`gateway_tls_certificate_%s_timestamp_seconds{key="ECDSA P-256",name="localhost"}`, name)
		if got := in.metric(series); got != float64(want.Unix()) {
			t.Errorf("%s is %v, want %v", series, got, want.Unix())
		}
	}
}

// A client gets a handshake of its own in the slot of one that has left in the middle of its.
func TestHandshakeBehindOneThatIsGone(t *testing.T) {
	in, files := startTLS(t, func(c *gateway.Config) {
		c.Shards = 1
		c.Limits.HeadTimeout = time.Minute
	})
	config := trusting(t, files)
	hello := gatewaytest.ClientHello(t)
	for range 50 {
		var gone []net.Conn
		for range 8 { // so that some wait for the one that computes
			c, err := net.Dial("tcp", in.TLSAddr())
			if err != nil {
				t.Fatal(err)
			}
			c.Write(hello)
			gone = append(gone, c)
		}
		for _, c := range gone {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
		d := &net.Dialer{Timeout: patience / 4}
		c, err := tls.DialWithDialer(d, "tcp", in.TLSAddr(), config)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}
