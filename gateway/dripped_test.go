package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// A byte of a head costs the same however much of the head is there.
func TestDrippedHeads(t *testing.T) {
	s := newStill(t, func(c *Config) { c.Limits.HeadBytes = 1 << 20 })
	perByte := func(first int, drip string) time.Duration {
		best := time.Hour
		for range 3 {
			p := s.connect()
			p.send([]byte("GET /healthz HTTP/1.1\r\nHost: a\r\nX: "))
			for piece := strings.Repeat("x", 8<<10); first > 0; first -= len(piece) {
				p.send([]byte(piece[:min(len(piece), first)]))
			}
			took := gatewaytest.CPUTime(func() {
				for range 1000 / len(drip) {
					for k := range drip {
						p.send([]byte(drip[k : k+1]))
					}
				}
			})
			best = min(best, took/1000)
			p.send([]byte("\r\n\r\n"))
			if got := string(p.receive()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("the head is answered %.40q", got)
			}
			p.close()
		}
		return best
	}
	short := perByte(100, "xxxxxxxxxx")
	for name, drip := range map[string]string{"a value": "xxxxxxxxxx", "lines": "\r\nY: " + strings.Repeat("y", 15)} {
		if long := perByte(900<<10, drip); long > 4*short {
			t.Errorf("%s: a byte behind 900 KiB of a head costs %v, behind 100 B %v", name, long, short)
		}
	}
}

// A head that arrives byte by byte is rejected as early as its bytes allow.
func TestDrippedVerdicts(t *testing.T) {
	const limit = 4 << 10
	s := newStill(t, func(c *Config) { c.Limits.HeadBytes = limit })
	fill := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		head string
		want string
	}{
		"TLS":                {"\x16\x03", "HTTP/1.1 400 "},
		"no method":          {"GET\x00", "HTTP/1.1 400 "},
		"bad request line":   {"GET /" + fill + " HTTP/3.0\r\n", "HTTP/1.1 505 "},
		"bare LF":            {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + fill + "\n", "HTTP/1.1 400 "},
		"bad line":           {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + fill + "\r\n folded\r\n", "HTTP/1.1 400 "},
		"bare LF at the end": {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + fill + "\r\n\n", "HTTP/1.1 400 "},
		"whole":              {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + fill + "\r\n\r\n", "HTTP/1.1 200 "},
		"too long":           {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", limit-35), "HTTP/1.1 431 "},
	} {
		p := s.connect()
		for k := range len(c.head) {
			if got := p.receive(); got != nil {
				t.Errorf("%s: answered %.40q after %d of %d bytes", name, got, k, len(c.head))
				break
			}
			p.send([]byte{c.head[k]})
		}
		if got := string(p.receive()); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: answered %.40q, want %s", name, got, c.want)
		}
		p.close()
	}
}
