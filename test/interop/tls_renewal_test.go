package interop

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// crowd is a number of clients over TLS that stay connected, half of them WebSockets and half
// event streams.
type crowd struct {
	t   *testing.T
	n   int
	all sync.WaitGroup
	end context.CancelFunc

	mu    sync.Mutex
	lost  []error // guarded by mu
	heard map[string]int
}

// gather connects n clients, which leave at the test's end at the latest.
func gather(t *testing.T, s *secured, n int) *crowd {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	o := &crowd{t: t, n: n, end: end, heard: make(map[string]int)}
	transport := &http.Transport{TLSClientConfig: s.trust("")}
	for i := range n {
		c := &gatewaytest.Client{Base: "https://" + s.tls, Channels: []string{channel}, HTTP: &http.Client{Transport: transport},
			Dialer: &websocket.Dialer{TLSClientConfig: s.trust("")},
			Take: func(m gatewaytest.Message) error {
				if m.Type == "message" {
					o.mu.Lock()
					o.heard[string(m.Data)]++
					o.mu.Unlock()
				}
				return nil
			}}
		visit := c.WebSocket
		if i%2 == 0 {
			visit = c.Events
		}
		o.all.Go(func() {
			if err := visit(ctx); ctx.Err() == nil {
				o.mu.Lock()
				o.lost = append(o.lost, err)
				o.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		end()
		o.all.Wait()
		transport.CloseIdleConnections()
	})
	eventually(t, "all are subscribed", func() bool { return s.Metric("gateway_subscriptions") == float64(n) })
	return o
}

// hear publishes a message, which all get.
func (o *crowd) hear(s *secured, message string) {
	o.t.Helper()
	s.Redis.Publish(channel, message)
	eventually(o.t, "all get "+message, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.heard[message] == o.n || len(o.lost) > 0
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lost) > 0 {
		o.t.Fatalf("%d clients are lost: %v", len(o.lost), o.lost[0])
	}
}

// presents returns the fingerprint of the certificate that the gateway presents.
func (s *secured) presents() string {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.tls, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	return sum(c.ConnectionState().PeerCertificates[0])
}

// sum is the fingerprint of a certificate.
func sum(c *x509.Certificate) string { return fmt.Sprintf("%x", sha256.Sum256(c.Raw)) }

// TestTLSRenewal replaces the certificate's files while clients are connected, in the ways in which
// that happens: no client is lost, and new ones see the newest usable certificate.
func TestTLSRenewal(t *testing.T) {
	needs(t)
	t.Parallel()
	const n = 200
	c := newTLSCertificates(t)
	redis := redistest.Start(t)
	s := &secured{tls: gatewaytest.Address(t), ca: c.CA}
	unusable := []string{"the TLS files have changed but can't be used; keeping the present certificates", "the configuration is wrong", "nothing was reloaded"}
	s.gateway = &gateway{gatewaytest.Start(t, program, redis, unusable, "--tls.listen", s.tls, "--tls.certificates", certificates(c.Server, c.ServerKey)), t}
	o := gather(t, s, n)
	o.hear(s, `1`)
	if got := s.Metric(`gateway_tls_handshakes_total{`); got != n {
		t.Errorf("%v handshakes of %d clients", got, n)
	}
	isGood := func() bool { return s.Metric("gateway_tls_files_usable") == 1 }
	isReloaded := func() bool { return s.Metric("gateway_config_last_reload_successful") == 1 }
	install := func(from, to string) {
		t.Helper()
		writeText(t, to+".next", readText(t, from))
		if err := os.Rename(to+".next", to); err != nil {
			t.Fatal(err)
		}
	}
	first := s.presents()
	// seen waits for another certificate than before, and returns it.
	seen := func(what, before string) (now string) {
		t.Helper()
		eventually(t, what, func() bool { now = s.presents(); return now != before && isGood() })
		return now
	}

	next := newTLSCertificates(t)
	install(next.ServerKey, c.ServerKey)
	install(next.Server, c.Server)
	second := seen("the new certificate is in use", first)
	if !strings.Contains(s.Log(), second) {
		t.Error("the log doesn't name the new certificate")
	}
	o.hear(s, `2`)

	writeText(t, c.Server, "rubbish")
	eventually(t, "the bad file is noticed", func() bool { return !isGood() })
	if got := s.presents(); got != second || !strings.Contains(s.Log(), unusable[0]) {
		t.Errorf("behind a bad file %s is presented, was %s", got, second)
	}
	o.hear(s, `3`)

	last := newTLSCertificates(t) // its key comes first, its certificate once that was noticed
	install(next.Server, c.Server)
	eventually(t, "the old file is in use again", isGood)
	install(last.ServerKey, c.ServerKey)
	eventually(t, "the foreign key is noticed", func() bool { return !isGood() })
	if got := s.presents(); got != second {
		t.Errorf("beside a foreign key %s is presented, was %s", got, second)
	}
	install(last.Server, c.Server)
	third := seen("the certificate of the key is in use", second)
	o.hear(s, `4`)

	// A signal has the files read at once, and what can't be used is told.
	reload := func(says string) {
		t.Helper()
		before := strings.Count(s.Log(), says)
		s.Signal(syscall.SIGHUP)
		eventually(t, says, func() bool { return strings.Count(s.Log(), says) > before })
	}
	writeText(t, c.Server, "rubbish")
	reload("nothing was reloaded")
	if got := s.presents(); got != third || isReloaded() || !strings.Contains(s.Log(), "tls.certificates[0].cert_file: "+`\"`+c.Server) {
		t.Errorf("behind a reload with a bad file %s is presented, was %s", got, third)
	}
	for byWatcher := true; byWatcher; { // which may look at the files between the two steps, or at the key alone
		renewed := newTLSCertificates(t)
		install(renewed.ServerKey, c.ServerKey)
		install(renewed.Server, c.Server)
		reload("the configuration is reloaded")
		now := s.presents()
		byWatcher = slices.ContainsFunc(strings.Split(s.Log(), "\n"), func(line string) bool {
			return strings.Contains(line, "certificate replaced") && strings.Contains(line, now)
		})
		if want := sum(certificateOf(t, c.Server)); now != want || !isGood() || !isReloaded() {
			t.Fatalf("behind a reload %s is presented, not %s", now, want)
		}
	}
	o.hear(s, `5`)
	if got := s.Metric(`gateway_closes_total{reason="tls"}`) + s.Metric("gateway_tls_failures_total{"); got != 0 {
		t.Errorf("%v connections have failed", got)
	}
}
