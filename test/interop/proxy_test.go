package interop

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// addresses returns the addresses of the gateway's WebSockets as it knows them.
func (g *gateway) addresses() (list []string) {
	g.t.Helper()
	var page struct{ Connections []struct{ Address string } }
	gatewaytest.Call(g.t, "GET", "http://"+g.Admin+"/v1/connections?transport=websocket", "", &page)
	for _, c := range page.Connections {
		list = append(list, c.Address)
	}
	return list
}

// TestProxyHeader: a client behind a real proxy is known by the header that the
// proxy sets, whatever it sends itself.
func TestProxyHeader(t *testing.T) {
	haproxy := func(lines string) func(*testing.T, *gateway) string {
		return func(t *testing.T, g *gateway) string { return startHAProxy(t, lines+"\n server one %s", g).public }
	}
	nginx := func(set string) func(*testing.T, *gateway) string {
		return func(t *testing.T, g *gateway) string {
			addr, _ := startNginx(t, "location /v1/ { proxy_pass http://"+g.Public+"; proxy_http_version 1.1;"+
				" proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header "+set+"; }")
			return addr
		}
	}
	for name, test := range map[string]struct {
		header string
		proxy  func(*testing.T, *gateway) string
	}{
		"HAProxy X-Forwarded-For": {"x-forwarded-for", haproxy("option forwardfor")},
		"HAProxy X-Real-IP":       {"x-real-ip", haproxy("http-request set-header X-Real-IP %%[src]")},
		"HAProxy one more line":   {"true-client-ip", haproxy("http-request add-header True-Client-IP %%[src]")},
		"HAProxy Forwarded":       {"forwarded", haproxy(`http-request add-header Forwarded for="%%[src]";proto=http`)},
		"nginx X-Real-IP":         {"x-real-ip", nginx("X-Real-IP $remote_addr")},
		"nginx X-Forwarded-For":   {"x-forwarded-for", nginx("X-Forwarded-For $proxy_add_x_forwarded_for")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, "--proxy.trusted", "127.0.0.1", "--proxy.header", test.header)
			addr := test.proxy(t, g)
			const client = "127.0.0.9"
			d := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).DialContext(ctx, network, addr)
			}}
			lies := http.Header{}
			for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"} {
				lies.Set(name, "192.0.2.66")
			}
			lies.Set("Forwarded", `for="192.0.2.66`)
			c, _, err := d.Dial("ws://"+addr+"/v1/ws", lies)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := g.addresses(); len(got) != 1 || got[0] != client {
				t.Errorf("the clients are at %v, want %s", got, client)
			}
		})
	}
}
