package gateway

import (
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// pageRequest is the request of a page's EventSource.
const pageRequest = "GET /v1/sse?channels=a HTTP/1.1\r\nHost: test\r\nOrigin: https://app.example\r\nAccept: text/event-stream\r\n\r\n"

// A request may take a while to a gateway that is full, amid others that say
// nothing at all.
func TestFullGatewayWaitsForTheRequest(t *testing.T) {
	InTheClear(t, Rejected)
	s := newStill(t, func(c *Config) { c.Limits.Connections, c.Origins = 1, []string{"https://app.example"} })
	s.connect()
	silent := func() (last *peer) {
		for range 100 {
			last = s.connect()
		}
		return last
	}
	first := silent()
	p := s.connect()
	last := silent()
	for tick := uint32(1); tick < conn.MuteTicks-1; tick++ {
		s.to(tick)
		if got := p.receive(); got != nil {
			t.Fatalf("after %d ticks it got %s", tick, got)
		}
	}
	p.send([]byte(pageRequest))
	s.to(conn.MuteTicks - 1)
	if told := string(p.receive()); !strings.HasPrefix(told, "HTTP/1.1 200 ") || !strings.Contains(told, `"reason":"too_many_connections"`) {
		t.Errorf("told %s", told)
	}
	s.to(conn.MuteTicks)
	for _, p := range []*peer{first, last} {
		if got := string(p.receive()); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
			t.Errorf("a silent one got %q", got)
		}
	}
}

// The head of a request may arrive in pieces: behind a proxy's header, or in more than one segment.
func TestFullGatewayWaitsForTheWholeRequest(t *testing.T) {
	InTheClear(t, Rejected)
	head := strings.Index(pageRequest, "Accept")
	for name, pieces := range map[string][]string{
		"behind a proxy": {"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n", pageRequest},
		"in two":         {pageRequest[:head], pageRequest[head:]},
		"in three":       {pageRequest[:head], pageRequest[head : head+3], pageRequest[head+3:]},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, func(c *Config) {
				c.Limits.Connections, c.Origins = 1, []string{"https://app.example"}
				if name == "behind a proxy" {
					c.Proxy.Trusted, c.Proxy.Protocol = []string{"127.0.0.0/8"}, string(proxy.Any)
				}
			})
			s.connect()
			p := s.connect()
			for i, piece := range pieces {
				if got := p.receive(); got != nil {
					t.Fatalf("before piece %d it got %s", i, got)
				}
				p.send([]byte(piece))
				s.to(uint32(i + 1))
			}
			if told := string(p.receive()); !strings.HasPrefix(told, "HTTP/1.1 200 ") || !strings.Contains(told, `"reason":"too_many_connections"`) {
				t.Errorf("told %s", told)
			}
		})
	}
}
