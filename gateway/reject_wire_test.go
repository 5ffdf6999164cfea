package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// A full gateway is healthy, and says so, or its supervisor would kill it.
func TestFullGatewayTellsItsHealth(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Limits.Connections = 1 }).ready()
	in.subscribed("news")
	for name, tc := range map[string]struct {
		head   string
		status int
		says   string
	}{
		"healthz":     {get("/healthz"), 200, "ok\n"},
		"readyz":      {get("/readyz"), 200, "ok\n"},
		"with query":  {get("/healthz?from=lb"), 200, "ok\n"},
		"HEAD":        {strings.Replace(get("/healthz"), "GET", "HEAD", 1), 200, ""},
		"any origin":  {get("/readyz", "Origin: http://elsewhere.example\r\n"), 200, "ok\n"},
		"other path":  {get("/healthzz"), 503, "too_many_connections"},
		"a client":    {upgradeHead, 503, "too_many_connections"},
		"no host":     {"GET /healthz HTTP/1.1\r\n\r\n", 503, "too_many_connections"},
		"half a head": {"GET /healthz HTTP/1.1\r\n", 503, "too_many_connections"},
		"nothing":     {"", 503, "too_many_connections"},
	} {
		t.Run(name, func(t *testing.T) {
			c := in.raw(tc.head)
			method, _, _ := strings.Cut(tc.head, " ")
			resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.status || !strings.Contains(string(body), tc.says) || !resp.Close {
				t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
			}
		})
	}
	if n := in.metric(`gateway_rejects_total{reason="connections"}`); n != 5 {
		t.Errorf("%v connections counted as turned away, want 5", n)
	}
}

func TestHealthForAnyOrigin(t *testing.T) {
	in := start(t, nil).ready()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v1/poll?channels=a&wait=0": 403} {
		c := in.raw(get(path, "Origin: http://elsewhere.example\r\n", "Connection: close\r\n"))
		if status, body := answerOf(t, c); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// A rejected client has time to send its request, however many others are rejected with it: some
// HTTP clients fail on a response before the request.
func TestTurnedAwayHaveTimeToAsk(t *testing.T) {
	gateway.InTheClear(t, gateway.Flooded)
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Shards = 2
		c.Limits.AcceptsPerSecond, c.Limits.AcceptsBurst = 1, 1
	}).ready()
	in.useUp("accepts")
	slow := in.raw("")
	for range 100 {
		in.raw("")
	}
	slow.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := slow.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("before its request it got %d bytes, %v", n, err)
	}
	slow.SetDeadline(time.Now().Add(patience))
	io.WriteString(slow, get("/healthz"))
	if resp, err := http.ReadResponse(bufio.NewReader(slow), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("/healthz: %v %v", resp, err)
	}
}
