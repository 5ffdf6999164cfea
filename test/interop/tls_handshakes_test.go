package interop

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

const (
	healthRequest = "GET /healthz HTTP/1.1\r\nHost: " + tlsName + "\r\n\r\n"
	healthy       = "\r\n\r\nok\n"
	sentUpdate    = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate"
	gotUpdate     = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate"
)

// turn is a piece of a dialogue: what is said, and what comes then.
type turn struct {
	say     string
	expects []string
}

// TestTLSHandshakes has openssl shake hands in every way that it knows.
func TestTLSHandshakes(t *testing.T) {
	needs(t, "openssl")
	c := newTLSCertificates(t)
	rsaCert, rsaKey := newRSA(t, "rsa.example.com")
	s := startTLS(t, c, "--tls.certificates", certificates(c.Server, c.ServerKey, rsaCert, rsaKey))
	s.ca = writeText(t, filepath.Join(t.TempDir(), "ca.pem"), readText(t, c.CA)+readText(t, rsaCert))

	const is, no = true, false
	asks := []turn{{healthRequest, []string{healthy}}}
	refuses := func(alert string) []turn { return []turn{{"", []string{alert}}} }
	updates := []turn{
		{healthRequest, []string{healthy}}, {"K\n", []string{sentUpdate, gotUpdate}}, {healthRequest, []string{healthy}},
		{"k\n", []string{sentUpdate}}, {healthRequest, []string{healthy}}, {"K\n", []string{sentUpdate, gotUpdate}},
		{healthRequest, []string{healthy}},
	}
	table := map[string]struct {
		args  string
		turns []turn
		lasts bool // the connection stays
	}{
		"1.3 with nothing in common": {"-tls1_3 -groups X448", refuses("alert handshake failure"), no},
		"1.2 with CBC":               {"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", refuses("alert handshake failure"), no},
		"1.2 without ECDHE":          {"-tls1_2 -cipher AES128-GCM-SHA256", refuses("alert handshake failure"), no},
		"1.1":                        {"-tls1_1 -cipher ALL:@SECLEVEL=0", refuses("alert protocol version"), no},
		"another hello":              {"-tls1_3 -msg -groups X448:P-384", []turn{{healthRequest, []string{"ClientHello", "ServerHello", "ClientHello", "Server Temp Key: ECDH, secp384r1", healthy}}}, is},
		"another hello, AES-256":     {"-tls1_3 -msg -ciphersuites TLS_AES_256_GCM_SHA384 -groups X448:P-521", []turn{{healthRequest, []string{"ClientHello", "ClientHello", "Server Temp Key: ECDH, secp521r1", healthy}}}, is},
		"ALPN http/1.1":              {"-alpn http/1.1", []turn{{healthRequest, []string{"ALPN protocol: http/1.1", healthy}}}, is},
		"ALPN h2 and http/1.1":       {"-alpn h2,http/1.1", []turn{{healthRequest, []string{"ALPN protocol: http/1.1", healthy}}}, is},
		"ALPN h2":                    {"-alpn h2", refuses("alert no application protocol"), no},
		"the name of a certificate":  {"-servername rsa.example.com -verify_hostname rsa.example.com", []turn{{healthRequest, []string{"Peer signature type: RSA-PSS", "Verification: OK", healthy}}}, is},
		"an unknown name":            {"-servername unknown.example -verify_hostname " + tlsName, []turn{{healthRequest, []string{"Peer signature type: ECDSA", "Verification: OK", healthy}}}, is},
		"no name":                    {"-noservername -verify_hostname " + tlsName, []turn{{healthRequest, []string{"Peer signature type: ECDSA", "Verification: OK", healthy}}}, is},
		"renegotiation":              {"-tls1_2", []turn{{requestFor("events", "renegotiation").text(), []string{"subscribed"}}, {"R\n", []string{"RENEGOTIATING", "alert no renegotiation"}}}, no},
		"small records":              {"-tls1_3 -split_send_frag 512 -max_send_frag 512", []turn{{"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 9000) + "\r\n\r\n", []string{healthy}}}, is},
		"padded records":             {"-tls1_3 -record_padding 4096", asks, is},
		"no middlebox":               {"-tls1_3 -no_middlebox", asks, is},
		"a maximal fragment length":  {"-tls1_2 -maxfraglen 512", asks, is},
	}
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		table[suite] = struct {
			args  string
			turns []turn
			lasts bool
		}{"-tls1_3 -msg -ciphersuites " + suite, append([]turn{{"", []string{"Cipher is " + suite}}}, updates...), is}
	}
	for _, suite := range []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"} {
		for kind, name := range map[string]string{"ECDSA": tlsName, "RSA": "rsa.example.com"} {
			suite := "ECDHE-" + kind + "-" + suite
			table[suite] = struct {
				args  string
				turns []turn
				lasts bool
			}{"-tls1_2 -cipher " + suite + " -servername " + name, []turn{{"", []string{"Cipher is " + suite}}, asks[0], asks[0]}, is}
		}
	}
	for name, test := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"s_client", "-connect", s.tls, "-CAfile", s.ca, "-servername", tlsName}, strings.Fields(test.args)...)
			if strings.Contains(test.args, "servername") {
				args = append(args[:5], strings.Fields(test.args)...)
			}
			d := talkTo(t, nil, "openssl", args...)
			for _, turn := range test.turns {
				d.say(turn.say)
				d.expect(turn.expects...)
			}
			if test.lasts {
				d.say("Q\n")
			}
			if code := d.ends(); (code == 0) != test.lasts {
				t.Errorf("openssl ends with %d", code)
			}
		})
	}
}

// TestTLSFailures: each failed connection counts once, by its reason.
func TestTLSFailures(t *testing.T) {
	needs(t, "openssl")
	s := startTLS(t, newTLSCertificates(t))
	for reason, args := range map[string]string{
		"cipher_suite": "-tls1_2 -cipher AES128-GCM-SHA256", "version": "-tls1_1 -cipher ALL:@SECLEVEL=0", "protocol": "-alpn h2",
		"client_alert": "-verify_return_error",
	} {
		if code := talkTo(t, nil, "openssl", append([]string{"s_client", "-connect", s.tls}, strings.Fields(args)...)...).ends(); code == 0 {
			t.Errorf("%s: openssl is content", reason)
		}
		eventually(t, reason+" is counted", func() bool { return s.Metric(`gateway_tls_failures_total{reason="`+reason+`"}`) == 1 })
	}
	eventually(t, "all are gone", func() bool { return s.Metric("gateway_connections") == 0 })
	if n := s.Metric("gateway_tls_failures_total{"); n != 4 {
		t.Errorf("4 connections count as %v", n)
	}
}

// TestTLSEarlyData: a client with a ticket of another server, which takes early data, is refused
// before any of it is read.
func TestTLSEarlyData(t *testing.T) {
	needs(t, "openssl")
	c := newTLSCertificates(t)
	s := startTLS(t, c)
	session, early := filepath.Join(t.TempDir(), "session"), writeText(t, filepath.Join(t.TempDir(), "early"), healthRequest)
	addr := gatewaytest.Address(t)
	other := talkTo(t, nil, "openssl", "s_server", "-accept", addr, "-cert", c.Server, "-key", c.ServerKey, "-early_data", "-max_early_data", "16384", "-tls1_3")
	other.expect("ACCEPT")
	first := talkTo(t, nil, "openssl", "s_client", "-connect", addr, "-CAfile", s.ca, "-tls1_3", "-sess_out", session)
	eventually(t, "it has a session", func() bool { return isSession(session) })
	first.say("Q\n")
	first.ends()
	second := talkTo(t, nil, "openssl", "s_client", "-connect", s.tls, "-CAfile", s.ca, "-tls1_3", "-sess_in", session, "-early_data", early)
	second.expect("unsupported extension")
	second.ends()
	if strings.Contains(second.text(), "HTTP/1.1") || !strings.Contains(second.text(), "Early data was rejected") {
		t.Error("the gateway has taken early data")
	}
	eventually(t, "it is gone", func() bool { return s.Metric("gateway_connections") == 0 })
}

// isSession reports whether openssl has written a session to a file, as a whole.
func isSession(file string) bool {
	text, _ := os.ReadFile(file)
	return strings.Contains(string(text), "-----END SSL SESSION PARAMETERS-----")
}

// TestTLSResumption: a session goes on at another gateway with the same keys for tickets, and after
// both were killed.
func TestTLSResumption(t *testing.T) {
	needs(t, "openssl")
	c, keys := newTLSCertificates(t), newTicketKeys(t)
	one := startTLS(t, c, "--tls.ticket_key_file", keys)
	two := startTLSOn(t, one.Redis, c, "--tls.ticket_key_file", keys)
	stranger := startTLSOn(t, one.Redis, c)
	session := filepath.Join(t.TempDir(), "session")
	connect := func(s *secured, flag, want string) {
		t.Helper()
		d := talkTo(t, nil, "openssl", "s_client", "-connect", s.tls, "-CAfile", s.ca, "-tls1_3", flag, session)
		d.say(healthRequest)
		d.expect(want, healthy)
		eventually(t, "it has a session", func() bool { return isSession(session) })
		d.say("Q\n")
		d.ends()
	}
	connect(one, "-sess_out", "New, TLSv1.3")
	for _, s := range []*secured{one, two} {
		connect(s, "-sess_in", "Reused, TLSv1.3")
	}
	connect(stranger, "-sess_in", "New, TLSv1.3")
	for _, s := range []*secured{one, two} {
		s.Kill()
		s.Restart()
		connect(s, "-sess_in", "Reused, TLSv1.3")
		if n := s.Metric(`gateway_tls_handshakes_total{resumed="true",version="1.3"}`); n != 1 {
			t.Errorf("%v resumed handshakes", n)
		}
	}
	// In TLS 1.2 there are no tickets.
	d := talkTo(t, nil, "openssl", "s_client", "-connect", one.tls, "-CAfile", one.ca, "-tls1_2", "-reconnect")
	d.say("Q\n")
	d.ends()
	if n := strings.Count(d.text(), "New, TLSv1.2"); n != 6 || strings.Contains(d.text(), "Reused") {
		t.Errorf("of 6 connections %d are new", n)
	}
}

// TestTLSClientCertificates: with tls.client_ca_file only clients with a certificate of that
// authority are let in.
func TestTLSClientCertificates(t *testing.T) {
	needs(t, "openssl", "curl")
	c, foreign := newTLSCertificates(t), newTLSCertificates(t)
	// A wildcard for pages is refused where a certificate is all that clients need.
	s := startTLS(t, c, "--tls.client_ca_file", c.CA, "--origins", "https://app.example.com")
	for name, own := range map[string][]string{"right": {c.Client, c.ClientKey}, "wrong": {foreign.Client, foreign.ClientKey}, "none": nil} {
		for _, version := range tlsVersions {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				args := []string{"s_client", "-connect", s.tls, "-CAfile", s.ca, "-tls" + strings.Replace(version, ".", "_", 1)}
				curl := []string{"-sS", "--cacert", s.ca, "--tls-max", version, "https://" + s.tls + "/healthz"}
				config := s.trust(version)
				if own != nil {
					args = append(args, "-cert", own[0], "-key", own[1])
					curl = append(curl, "--cert", own[0], "--key", own[1])
					pair, err := tls.LoadX509KeyPair(own[0], own[1])
					if err != nil {
						t.Fatal(err)
					}
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
				}
				d, e := talkTo(t, nil, "openssl", args...), talkTo(t, nil, "curl", curl...)
				n, err := askOnce(s.tls, config)
				if name == "right" {
					d.say(healthRequest)
					d.expect(healthy)
					d.say("Q\n")
					if code := e.ends(); code != 0 {
						t.Errorf("curl ends with %d", code)
					}
					if n == 0 {
						t.Error(err)
					}
					return
				}
				alert := map[string]string{
					"wrong 1.2": "alert unknown ca", "wrong 1.3": "alert unknown ca",
					"none 1.2": "alert handshake failure", "none 1.3": "alert certificate required",
				}[name+" "+version]
				if code := d.ends(); code == 0 {
					t.Errorf("openssl ends with %d", code)
				}
				d.expect(alert)
				if code := e.ends(); code == 0 {
					t.Errorf("curl is answered %s", e.text())
				}
				if n != 0 || err == nil || !strings.Contains(err.Error(), "remote error: tls:") {
					t.Errorf("crypto/tls gets %d bytes, %v", n, err)
				}
			})
		}
	}
}

// askOnce makes a request and reads the start of its answer.
func askOnce(addr string, config *tls.Config) (n int, err error) {
	d := &net.Dialer{Timeout: patience}
	c, err := tls.DialWithDialer(d, "tcp", addr, config)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, healthRequest); err != nil {
		return 0, err
	}
	return c.Read(make([]byte, 1000))
}
