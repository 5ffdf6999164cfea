package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// TestPaths: the ways in which proxies and people spell a path, and the checks of
// load balancers that were given none.
func TestPaths(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	for target, want := range map[string]int{
		"/v1/poll?channels=a&wait=0":              204,
		"/v1/poll/?channels=a&wait=0":             204,
		"//v1/poll?channels=a&wait=0":             204,
		"/v1//poll//?channels=a&wait=0":           204,
		"http://test/v1/poll?channels=a&wait=0":   204,
		"https://test//v1/poll?channels=a&wait=0": 204,
		"/v1/sse/?channels=a":                     200,
		"//v1/sse?channels=a":                     200,
		"//v1/ws":                                 426,
		"/v1/ws/":                                 426,
		"/healthz/":                               200,
		"//readyz":                                200,
		"/":                                       200,
		"//":                                      200,
		"http://test":                             200,
		"/v1":                                     404,
		"/v1/":                                    404,
		"/v1/poll/x":                              404,
		"/V1/poll":                                404,
		"/v1%2Fpoll":                              404,
		"/v1/./poll":                              404,
		"/*":                                      404,
		"*":                                       400,
		"/" + strings.Repeat("/", 100) + "readyz": 200,
		"/" + strings.Repeat("x/", 100):           404,
	} {
		if resp := in.askAs("", get(target)); resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", target, resp.Status, want)
		}
	}
	if resp := in.askAs("", strings.Replace(upgradeHead, "/v1/ws", "//v1/ws/", 1)); resp.StatusCode != 101 {
		t.Errorf("WebSocket: %s", resp.Status)
	}
	checks := map[string]string{
		"HAProxy's check":            "OPTIONS / HTTP/1.0\r\n\r\n",
		"HAProxy's check of a path":  "OPTIONS /readyz HTTP/1.0\r\n\r\n",
		"HAProxy's check of 2.2":     "OPTIONS / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
		"of a cloud's balancer":      "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: ELB-HealthChecker/2.0\r\nConnection: close\r\n\r\n",
		"HEAD":                       "HEAD / HTTP/1.1\r\nHost: test\r\n\r\n",
		"of the server":              "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
		"a double slash at the root": "OPTIONS // HTTP/1.0\r\n\r\n",
	}
	each := func(want int) {
		t.Helper()
		for name, request := range checks {
			if resp := in.askAs("", request); resp.StatusCode != want {
				t.Errorf("%s: %s, want %d", name, resp.Status, want)
			}
		}
		if resp := in.askAs("", get("/healthz")); resp.StatusCode != 200 {
			t.Errorf("healthz: %s", resp.Status)
		}
	}
	each(200)
	in.SetDraining(true)
	each(503)
	in.SetDraining(false)
}

// A full gateway is still ready, for any health check.
func TestFullGatewayAnswersBareChecks(t *testing.T) {
	gateway.InTheClear(t, gateway.ProxyHeader)
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Limits.Connections = 1
		c.Proxy.Protocol, c.Proxy.Trusted = "any", []string{"127.0.0.2"}
	}).ready()
	in.subscribed("news")
	for _, request := range []string{fromProxy + get("/readyz"), v2Local + "OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", get("//readyz/"), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"} {
		if resp := in.askAs("", request); resp.StatusCode != 200 {
			t.Errorf("%.20q: %s", request, resp.Status)
		}
	}
}

// TestKeepAliveOfOldClients: HTTP/1.0 keeps a connection on request, and the response says so.
func TestKeepAliveOfOldClients(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	c := in.raw("")
	r := bufio.NewReader(c)
	ask := func(head string) *http.Response {
		io.WriteString(c, head)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		return resp
	}
	for _, head := range []string{
		"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET /v1/poll?channels=a&wait=0 HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
		"POST /v1/poll HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 29\r\n\r\n" + `{"channels":["a"],"wait":0}  `,
	} {
		if resp := ask(head); resp.StatusCode/100 != 2 || resp.Close || resp.Header.Get("Connection") != "keep-alive" {
			t.Errorf("%.30q: %s %v", head, resp.Status, resp.Header)
		}
	}
	if resp := ask("GET /healthz HTTP/1.0\r\n\r\n"); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("the last one: %s %v", resp.Status, resp.Header)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind it: %d bytes, %v", n, err)
	}
}
