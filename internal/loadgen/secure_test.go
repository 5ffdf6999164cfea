package loadgen

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// startSecure starts a server that speaks TLS, and returns a Config for a run
// that trusts its certificate, which is for 127.0.0.1 and example.com.
func startSecure(t *testing.T, s *scripted, clients, messages int) plan.Config {
	t.Helper()
	s.secure = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	c := s.start(t, clients, messages)
	c.CA, c.Timeout = authorityFile(t, s.Certificate()), time.Minute
	return c
}

// authorityFile writes a file for --ca.
func authorityFile(t *testing.T, authority *x509.Certificate) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// All transports work over TLS as they do without, whatever its version and
// however its records are cut, and from other processes.
func TestSecure(t *testing.T) {
	for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, agents := range []int{0, 2} {
				t.Run(fmt.Sprintf("%s, %s, %d agents", transport, tls.VersionName(version), agents), func(t *testing.T) {
					t.Parallel()
					s := newScripted()
					s.TLS = &tls.Config{MaxVersion: version}
					s.dribble = transport == plan.WebSocket
					c := startSecure(t, s, 16, 20)
					c.Transport, c.Agents, c.Loops = transport, agents, 2
					r := mustFanout(t, s, c)
					want := figures{expected: 320, delivered: 320}
					if got := figuresOf(r); !r.Good() || got != want || r.Counters.TLSHandshakes != 16 || r.Counters.TLSTime == 0 {
						t.Errorf("got %+v, want %+v, %+v, failed %q, %v", got, want, r.Counters, r.Failed, r.Failures)
					}
				})
			}
		}
	}
}

// Where the processor has no instructions for AES, clients and servers choose ChaCha20, whose keys
// are kept beside the others.
func TestSecureChaCha20(t *testing.T) {
	t.Setenv("GODEBUG", "cpu.aes=off") // of the agent
	s := newScripted()
	suites := make(chan uint16, 4) // sent to by each handshake
	s.TLS = &tls.Config{VerifyConnection: func(c tls.ConnectionState) error { suites <- c.CipherSuite; return nil }}
	c := startSecure(t, s, 4, 10)
	c.Agents = 1
	if r := mustFanout(t, s, c); !r.Good() || r.Counters.Delivered != 40 {
		t.Fatalf("%+v, failed %q, %v", r.Counters, r.Failed, r.Failures)
	}
	if suite := <-suites; suite != tls.TLS_CHACHA20_POLY1305_SHA256 {
		t.Skipf("the suite is %s", tls.CipherSuiteName(suite))
	}
}

// Clients that are cut reconnect over TLS as well.
func TestSecureStorm(t *testing.T) {
	s := newScripted()
	c := startSecure(t, s, 20, 1)
	c.Share, c.Before, c.After, c.Rate = 0.5, 50*time.Millisecond, 50*time.Millisecond, 0
	r, err := storm.with(t.Context(), c, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Good() || r.Counters.Returned != 10 || r.Counters.TLSHandshakes != 30 {
		t.Errorf("%+v, failed %q", r.Counters, r.Failed)
	}
}

// Errors in a server's TLS are reported by name, with the remedy.
func TestSecureRefused(t *testing.T) {
	tests := map[string]struct {
		change func(c *plan.Config)
		want   account.Reason
	}{
		"trusted":       {func(c *plan.Config) {}, ""},
		"unknown":       {func(c *plan.Config) { c.CA = "" }, account.ReasonIssuer},
		"insecure":      {func(c *plan.Config) { c.CA, c.Insecure = "", true }, ""},
		"another name":  {func(c *plan.Config) { c.URL = strings.Replace(c.URL, "127.0.0.1", "localhost", 1) }, account.ReasonName},
		"name by Host":  {func(c *plan.Config) { c.Headers = []string{"Host: example.com:443"} }, ""},
		"other by Host": {func(c *plan.Config) { c.Headers = []string{"Host: push.example"} }, account.ReasonName},
		"wss":           {func(c *plan.Config) { c.URL = strings.Replace(c.URL, "https", "wss", 1) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted()
			c := startSecure(t, s, 4, 1)
			tt.change(&c)
			r, err := Idle(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && !r.Good() || tt.want != "" && r.Failures[tt.want] == 0 {
				t.Errorf("failures %v, want %q; %q", r.Failures, tt.want, r.Failed)
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		s := newScripted()
		c := s.start(t, 4, 1)
		c.URL = strings.Replace(c.URL, "http", "https", 1)
		r, err := Idle(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Failures[account.ReasonNotTLS] == 0 {
			t.Errorf("failures %v, want %q", r.Failures, account.ReasonNotTLS)
		}
	})
}

// A server that says nothing, or goes away, in the middle of a handshake leaves
// nothing behind: TestMain looks for goroutines.
func TestSecureUnfinished(t *testing.T) {
	for _, stays := range []bool{true, false} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if !stays {
					conn.Read(make([]byte, 4096))
					conn.Close()
				}
			}
		}()
		c := plan.DefaultConfig()
		c.URL, c.Insecure, c.Connections, c.Timeout = "wss://"+ln.Addr().String(), true, 5, time.Second
		r, err := Idle(t.Context(), c, Options{})
		ln.Close()
		<-done
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]account.Reason{true: account.ReasonTimeout, false: account.ReasonEarly}[stays]
		if r.Failures[want] != 5 {
			t.Errorf("failures %v, want %q", r.Failures, want)
		}
	}
}
