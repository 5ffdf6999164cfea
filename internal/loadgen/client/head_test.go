package client

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	tests := map[string]struct {
		text string
		n    int
		ok   bool
		look func(h head) bool
	}{
		"upgrade": {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: abc=\r\n\r\nrest", 117, true,
			func(h head) bool {
				return h.status == 101 && h.upgrade && string(h.accept) == "abc=" && h.length == -1
			}},
		"half an upgrade": {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", 38, true, func(h head) bool { return !h.upgrade }},
		"no reason":       {"HTTP/1.1 204 \r\nPoll-Cursor:  c1 \r\n\r\n", 36, true, func(h head) bool { return string(h.cursor) == "c1" }},
		"length":          {"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n", 58, true, func(h head) bool { return h.length == 12 && h.closes }},
		"chunked":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47, true, func(h head) bool { return h.chunked }},
		"incomplete":      {"HTTP/1.1 200 OK\r\nA: b\r\n", 0, true, nil},
		"first byte":      {"H", 0, true, nil},
		"nothing":         {"", 0, true, nil},
		"TLS alert":       {"\x15\x03\x01\x00\x02\x02\x46", 0, false, nil},
		"old HTTP":        {"HTTP/1.0 200 OK\r\n\r\n", 0, false, nil},
		"no status":       {"HTTP/1.1 abc\r\n\r\n", 0, false, nil},
		"bad length":      {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, false, nil},
		"bad line":        {"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", 0, false, nil},
		"endless":         {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", maxHead), 0, false, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, n, ok := parseHead([]byte(tt.text))
			if n != tt.n || ok != tt.ok {
				t.Fatalf("got n %d, ok %v, want %d, %v", n, ok, tt.n, tt.ok)
			}
			if tt.look != nil && !tt.look(h) {
				t.Errorf("got %+v", h)
			}
		})
	}
}

// Whatever is accepted as a whole head has the status that net/http sees, and
// no prefix of it is refused.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, ok := parseHead(p)
		if !ok || n == 0 {
			return
		}
		for i := range n {
			if _, k, ok := parseHead(p[:i]); k != 0 || !ok {
				t.Fatalf("%q: %d bytes of it are n %d, ok %v", p, i, k, ok)
			}
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p)), nil)
		if err == nil && r.StatusCode != h.status {
			t.Fatalf("%q: status %d, net/http says %d", p, h.status, r.StatusCode)
		}
	})
}
