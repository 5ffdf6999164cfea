package gateway_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
)

// Section 4.2 of RFC 6455: requirements on a handshake, and the responses.
func TestConformanceHandshake(t *testing.T) {
	in := start(t, withDefaultRates)
	const (
		version = "Sec-WebSocket-Version: 13\r\n"
		nonce   = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		upgrade = "Upgrade: websocket\r\n"
		connect = "Connection: Upgrade\r\n"
		host    = "Host: test\r\n"
		line    = "GET /v1/ws HTTP/1.1\r\n"
	)
	all := func(lines ...string) string { return strings.Join(lines, "") + "\r\n" }
	for name, tc := range map[string]struct {
		head   string
		status int
	}{
		"as in the RFC":         {all(line, host, upgrade, connect, nonce, "Origin: http://test\r\nSec-WebSocket-Protocol: chat, superchat\r\n", version), 101},
		"other order":           {all(line, version, nonce, connect, upgrade, host), 101},
		"other case":            {all(line, "hOST: test\r\nUPGRADE: WebSocket\r\nconnection: uPGRADE\r\nsec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\nSEC-WEBSOCKET-VERSION:   13  \r\n"), 101},
		"keep-alive as well":    {all(line, host, upgrade, "Connection: keep-alive, Upgrade\r\n", nonce, version), 101},
		"connection in lines":   {all(line, host, upgrade, "Connection: keep-alive\r\n", nonce, connect, version), 101},
		"connection, then more": {all(line, host, upgrade, connect, nonce, version, "Connection: keep-alive\r\n"), 101},
		"upgrade of a list":     {all(line, host, "Upgrade: h2c, websocket\r\n", connect, nonce, version), 101},
		"upgrade in lines":      {all(line, "Upgrade: h2c\r\n", host, upgrade, connect, nonce, version), 101},
		"lines without version": {all(line, host, upgrade, "Connection: keep-alive\r\n", connect, nonce), 426},
		"lines of an old one":   {all(line, host, upgrade, "Connection: keep-alive\r\n", connect, nonce, "Sec-WebSocket-Version: 8\r\n"), 426},
		"lines without upgrade": {all(line, host, upgrade, "Connection: keep-alive\r\n", "Connection: te\r\n", nonce, version), 426},
		"unknown headers":       {all(line, host, upgrade, connect, nonce, version, "X-Other: 1\r\nCookie: a=b\r\n"), 101},
		"absolute target":       {all("GET http://test/v1/ws HTTP/1.1\r\n", host, upgrade, connect, nonce, version), 101},
		"POST":                  {all("POST /v1/ws HTTP/1.1\r\n", host, upgrade, connect, nonce, version), 405},
		"HEAD":                  {all("HEAD /v1/ws HTTP/1.1\r\n", host, upgrade, connect, nonce, version), 405},
		"HTTP/1.0":              {all("GET /v1/ws HTTP/1.0\r\n", host, upgrade, connect, nonce, version), 426},
		"HTTP/2.0":              {all("GET /v1/ws HTTP/2.0\r\n", host, upgrade, connect, nonce, version), 505},
		"no host":               {all(line, upgrade, connect, nonce, version), 400},
		"two hosts":             {all(line, host, host, upgrade, connect, nonce, version), 400},
		"no upgrade":            {all(line, host, connect, nonce, version), 426},
		"upgrade to other":      {all(line, host, "Upgrade: h2c\r\n", connect, nonce, version), 426},
		"no connection":         {all(line, host, upgrade, nonce, version), 426},
		"connection of other":   {all(line, host, upgrade, "Connection: keep-alive\r\n", nonce, version), 426},
		"no version":            {all(line, host, upgrade, connect, nonce), 426},
		"version 8":             {all(line, host, upgrade, connect, nonce, "Sec-WebSocket-Version: 8\r\n"), 426},
		"version 14":            {all(line, host, upgrade, connect, nonce, "Sec-WebSocket-Version: 14\r\n"), 426},
		"version of words":      {all(line, host, upgrade, connect, nonce, "Sec-WebSocket-Version: thirteen\r\n"), 426},
		"no key":                {all(line, host, upgrade, connect, version), 400},
		"empty key":             {all(line, host, upgrade, connect, version, "Sec-WebSocket-Key:\r\n"), 400},
		"key of 15 bytes":       {all(line, host, upgrade, connect, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n"), 400},
		"key of 18 bytes":       {all(line, host, upgrade, connect, version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWVl\r\n"), 400},
		"key not of base64":     {all(line, host, upgrade, connect, version, "Sec-WebSocket-Key: the sample nonce is 24ch\r\n"), 400},
		"two keys":              {all(line, host, upgrade, connect, nonce, nonce, version), 400},
		"an origin elsewhere":   {all(line, host, upgrade, connect, nonce, version, "Origin: http://elsewhere.example\r\n"), 403},
		"a body":                {all(line, host, upgrade, connect, nonce, version, "Content-Length: 3\r\n") + "abc", 400},
		"space before colon":    {all(line, "Host : test\r\n", upgrade, connect, nonce, version), 400},
		"echo while turned off": {all("GET /debug/echo HTTP/1.1\r\n", host, upgrade, connect, nonce, version), 404},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.ReadResponse(bufio.NewReader(in.raw(tc.head)), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != tc.status {
				t.Fatalf("answered with %s, want %d", r.Status, tc.status)
			}
			h := r.Header
			switch tc.status {
			case 101:
				if h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
					!strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.EqualFold(h.Get("Connection"), "upgrade") {
					t.Errorf("answered with %v", h)
				}
				// None was agreed on, so none may be named.
				if h["Sec-Websocket-Protocol"] != nil || h["Sec-Websocket-Extensions"] != nil {
					t.Errorf("answered with %v", h)
				}
			case 426:
				if h.Get("Sec-WebSocket-Version") != "13" || h.Get("Upgrade") != "websocket" {
					t.Errorf("answered with %v", h)
				}
			}
		})
	}
}

// Sections 12 and 13: compression is declined, in every form that it's offered
// in, and a compressed frame fails the connection.
func TestConformanceCompressionIsDeclined(t *testing.T) {
	in := echoing(t)
	for name, offer := range map[string]string{
		"12.1": "permessage-deflate",
		"12.2": "permessage-deflate; client_max_window_bits",
		"13.1": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
		"13.3": "permessage-deflate; server_max_window_bits=8",
		"13.7": "permessage-deflate; server_max_window_bits=9, permessage-deflate; client_max_window_bits, permessage-deflate",
		"old":  "x-webkit-deflate-frame",
	} {
		t.Run(name, func(t *testing.T) {
			head := strings.Replace(upgradeHead, "/v1/ws", "/debug/echo", 1)
			head = strings.TrimSuffix(head, "\r\n") + "Sec-WebSocket-Extensions: " + offer + "\r\n\r\n"
			p := newTester(t, in.raw(head))
			if p.extensions != "" {
				t.Errorf("agreed to %q", p.extensions)
			}
			p.write(masked(fin|1, hello), 0)
			p.hear(t, helloText)
			p.write(masked(fin|0x40|1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), 0) // "Hello", deflated
			if got := p.listen(t); got.code != 1002 || len(got.said) > 0 {
				t.Errorf("closed with %d", got.code)
			}
		})
	}
}

// The echo endpoint requires a token like every other.
func TestEchoAsksForToken(t *testing.T) {
	in := start(t, func(c *gateway.Config) { withTokens(c); withDefaultRates(c); c.Debug.Echo = true })
	request := func(query string) string {
		return strings.Replace(upgradeHead, "/v1/ws", "/debug/echo"+query, 1)
	}
	for name, query := range map[string]string{"none": "", "nonsense": "?token=nonsense"} {
		t.Run(name, func(t *testing.T) {
			if status, _ := answerOf(t, in.raw(request(query))); status != 401 {
				t.Errorf("answered with %d", status)
			}
		})
	}
	p := newTester(t, in.raw(request("?token="+token(t, auth.Claims{Subject: "ann"}))))
	p.write(masked(fin|1, hello), 0)
	p.hear(t, helloText)
}

// A drain ends the echo's clients like others, without a message that they
// didn't send.
func TestEchoIsDrained(t *testing.T) {
	in := echoing(t)
	p := in.tester(t, "/debug/echo")
	p.write(masked(1, hello), 0)
	if b0, payload, err := p.frame(); err != nil || b0 != 1 || string(payload) != hello {
		t.Fatalf("got %#x %q, %v", b0, payload, err)
	}
	in.stop()
	if got := p.listen(t); got.code != 1012 || len(got.said) > 0 {
		t.Errorf("heard %s, closed with %d", brief(got.said), got.code)
	}
	p.Close()
}
