package interop

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// request is an HTTP request by which a client receives messages of a channel.
type request struct {
	method, path, body string
	fields             []string // of its head
}

// requestFor returns the request of a transport.
func requestFor(transport, channel string) request {
	switch transport {
	case "websocket":
		return request{"GET", "/v1/ws?channels=" + channel, "", []string{"Upgrade: websocket", "Connection: Upgrade",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}}
	case "events":
		return request{"GET", "/v1/sse?channels=" + channel, "", []string{"Accept: text/event-stream"}}
	}
	return request{"POST", "/v1/poll", fmt.Sprintf(`{"channels":[%q],"wait":50}`, channel), []string{"Content-Type: application/json"}}
}

// text returns the request as bytes.
func (r request) text() string {
	head := append([]string{r.method + " " + r.path + " HTTP/1.1", "Host: " + tlsName}, r.fields...)
	if r.body != "" {
		head = append(head, fmt.Sprintf("Content-Length: %d", len(r.body)))
	}
	return strings.Join(head, "\r\n") + "\r\n\r\n" + r.body
}

// tlsReaders are clients that print what they are sent, as it comes. Each begins a request.
var tlsReaders = map[string]func(t *testing.T, s *secured, version string, r request) *dialogue{
	"openssl": func(t *testing.T, s *secured, version string, r request) *dialogue {
		d := talkTo(t, nil, "openssl", "s_client", "-quiet", "-connect", s.tls, "-CAfile", s.ca, "-verify_return_error", "-tls"+strings.Replace(version, ".", "_", 1))
		d.say(r.text())
		return d
	},
	"curl": func(t *testing.T, s *secured, version string, r request) *dialogue {
		args := []string{"-sSN", "--http1.1", "--cacert", s.ca, "--tlsv" + version, "--tls-max", version, "https://" + s.tls + r.path}
		for _, f := range r.fields {
			args = append(args, "-H", f)
		}
		if r.body != "" {
			args = append(args, "-d", r.body)
		}
		return talkTo(t, nil, "curl", args...)
	},
	"Python": func(t *testing.T, s *secured, version string, r request) *dialogue {
		return talkTo(t, s.withOpenSSL(version), python(t), "testdata/request.py", s.tls, r.method, r.path, r.body)
	},
	"Node": func(t *testing.T, s *secured, version string, r request) *dialogue {
		return talkTo(t, []string{"NODE_EXTRA_CA_CERTS=" + s.ca}, "node", "--tls-min-v"+version, "--tls-max-v"+version,
			"testdata/request.js", "https://"+s.tls+r.path, r.method, r.body)
	},
	"Go": func(t *testing.T, s *secured, version string, r request) *dialogue {
		d := &dialogue{t: t, ended: make(chan struct{})}
		q, err := http.NewRequestWithContext(t.Context(), r.method, "https://"+s.tls+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: s.trust(version), DisableKeepAlives: true}
		go func() { // ends with the test's context, before the cleanups
			defer close(d.ended)
			resp, err := transport.RoundTrip(q)
			if err != nil {
				fmt.Fprint(d, err)
				return
			}
			defer resp.Body.Close()
			io.Copy(d, resp.Body)
		}()
		t.Cleanup(func() { <-d.ended })
		return d
	},
}

// TestTLSReaders has clients read a large message by each transport and in both versions of TLS.
// WebSockets with frames are played with by TestTLSPlays; here their bytes are only read.
func TestTLSReaders(t *testing.T) {
	needs(t, "openssl", "curl", "node")
	s := startTLS(t, newTLSCertificates(t))
	message := `{"text":"` + strings.Repeat("x", largeSize) + `"}`
	for name, begin := range tlsReaders {
		for _, transport := range []string{"websocket", "events", "poll"} {
			if transport == "websocket" && name != "openssl" && name != "curl" {
				continue
			}
			for _, version := range tlsVersions {
				t.Run(name+"/"+transport+"/"+version, func(t *testing.T) {
					t.Parallel()
					channel := strings.NewReplacer("/", ".").Replace(t.Name())
					d := begin(t, s, version, requestFor(transport, channel))
					d.expectWhile(message, func() { s.Redis.Publish(channel, message) })
				})
			}
		}
	}
}

// TestTLSEventSource: Node's EventSource, in its versions on two HTTP clients of Node's, resumes over
// TLS behind a crash of the gateway.
func TestTLSEventSource(t *testing.T) {
	modules := npmInstall(t, "on-https@npm:eventsource@2", "on-fetch@npm:eventsource@4")
	s := startTLS(t, newTLSCertificates(t))
	var all []*dialogue
	expect := func(want string) {
		t.Helper()
		for _, d := range all {
			d.expect(want)
		}
	}
	for _, pack := range []string{"on-https", "on-fetch"} {
		for _, version := range tlsVersions {
			all = append(all, talkTo(t, []string{"NODE_PATH=" + modules, "NODE_EXTRA_CA_CERTS=" + s.ca}, "node",
				"--tls-min-v"+version, "--tls-max-v"+version, "testdata/eventsource.js", pack, "https://"+s.tls+"/v1/sse?channels=c"))
		}
	}
	expect("subscribed")
	for _, version := range tlsVersions {
		if n := s.Metric(`gateway_tls_handshakes_total{resumed="false",version="` + version + `"}`); n != 2 {
			t.Errorf("%v handshakes of TLS %s", n, version)
		}
	}
	s.Redis.PublishDurable("c", "1")
	expect("message 1")
	s.Kill()
	s.Redis.PublishDurable("c", "2")
	s.Restart()
	expect("subscribed")
	expect("message 2")
	s.Redis.PublishDurable("c", "3")
	expect("message 3")
}

// A client that speaks to the wrong port is answered in its own protocol.
func TestTLSPort(t *testing.T) {
	needs(t, "curl")
	s := startTLS(t, newTLSCertificates(t))
	if status, body := get(t, "http://"+s.tls+"/healthz"); status != http.StatusBadRequest || !strings.Contains(body, "plain_on_tls_port") {
		t.Errorf("a plain request to the TLS port: %d %s", status, body)
	}
	if _, err := tls.Dial("tcp", s.Public, s.trust("1.3")); err == nil {
		t.Error("the plain port speaks TLS")
	}
	d := talkTo(t, nil, "curl", "-sS", "--cacert", s.ca, "https://"+s.Public+"/healthz")
	if code := d.ends(); code != 35 { // CURLE_SSL_CONNECT_ERROR
		t.Errorf("curl ends with %d: %s", code, d.text())
	}
}
