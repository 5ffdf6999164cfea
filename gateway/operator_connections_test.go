package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/admin"
)

// connectionList is the response to GET /v1/connections.
type connectionList struct {
	Node        string
	Connections []admin.Connection
	Next        string
}

func readConnections(in *instance, path string) ([]admin.Connection, string) {
	in.t.Helper()
	var l connectionList
	if status := in.call("GET", path, "", &l); status != 200 {
		in.t.Fatalf("%s: %d", path, status)
	}
	return l.Connections, l.Next
}

func idsOf(list []admin.Connection) (ids []string) {
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return sorted(ids)
}

// stream opens a stream of events and waits until its channel is live.
func (in *instance) stream(channel string) *bufio.Reader {
	in.t.Helper()
	r := bufio.NewReader(in.raw("GET /v1/sse?channels=" + channel + " HTTP/1.1\r\nHost: test\r\n\r\n"))
	until(in.t, r, "event: subscribed")
	return r
}

// until reads lines up to one that begins with a text.
func until(t testing.TB, r *bufio.Reader, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no line %q: %v", text, err)
		}
		if strings.HasPrefix(line, text) {
			return
		}
	}
}

func TestOperatorListsConnections(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Shards = 3 }).ready()
	sockets := []string{}
	for i := range 10 {
		c := in.dial(fmt.Sprintf("/v1/ws?channels=all,user.%d", i))
		sockets = append(sockets, c.expect("welcome").Connection)
		c.expect("subscribed")
		c.expect("subscribed")
	}
	in.stream("all")
	in.raw("GET /v1/poll?channels=all&wait=50 HTTP/1.1\r\nHost: test\r\n\r\n")
	in.raw("")
	eventually(t, "all transports are there", func() bool {
		all, _ := readConnections(in, "/v1/connections")
		return len(all) == 13 && slices.ContainsFunc(all, func(c admin.Connection) bool { return c.Transport == "poll" && c.Subscriptions == 1 })
	})
	whole, next := readConnections(in, "/v1/connections")
	if next != "" {
		t.Errorf("goes on at %s after the end", next)
	}
	for _, limit := range []int{1, 4, 12, 13} {
		got := pages(t, in, fmt.Sprintf("/v1/connections?limit=%d", limit), readConnections)
		if !slices.Equal(idsOf(got), idsOf(whole)) {
			t.Errorf("by %d: %v\nwant %v", limit, idsOf(got), idsOf(whole))
		}
	}
	for query, want := range map[string]int{
		"transport=websocket": 10, "transport=sse": 1, "transport=poll": 1, "transport=http": 1,
		"channel=all": 12, "channel=user.3": 1, "channel=absent": 0, "channel=all&transport=sse": 1,
		"address=127.0.0.1": 13, "address=127.0.0.0/8": 13, "address=127.": 13, "address=10.0.0.0/8": 0,
		"subject=": 13, "subject=bob": 0,
	} {
		if got, _ := readConnections(in, "/v1/connections?"+query); len(got) != want {
			t.Errorf("%s: %d connections, want %d", query, len(got), want)
		}
	}
	got, _ := readConnections(in, "/v1/connections?transport=websocket")
	if !slices.Equal(idsOf(got), sorted(sockets)) {
		t.Errorf("got %v, want %v", idsOf(got), sorted(sockets))
	}
	for _, c := range got {
		if c.Subscriptions != 2 || c.AgeSeconds < 0 || c.AgeSeconds > patience.Seconds() || c.QueuedBytes != 0 {
			t.Errorf("%+v", c)
		}
		if host, _, err := net.SplitHostPort(c.Address); err != nil || host != "127.0.0.1" {
			t.Errorf("address %q", c.Address)
		}
	}
	for _, query := range []string{"limit=0", "transport=carrier-pigeon", "address=example.com", "cursor=x", "cursor=9.1", "cursor=-1.1", "chanel=a"} {
		if status := in.call("GET", "/v1/connections?"+query, "", nil); status != 400 {
			t.Errorf("%s: %d", query, status)
		}
	}
}

func TestOperatorTellsOfOneConnection(t *testing.T) {
	in := start(t, nil).ready()
	c := in.dial("/v1/ws?channels=a,b")
	id := c.expect("welcome").Connection
	c.expect("subscribed")
	c.expect("subscribed")
	var d admin.ConnectionDetail
	if status := in.call("GET", "/v1/connections/"+id, "", &d); status != 200 || d.ID != id || d.Transport != "websocket" || d.Address != c.LocalAddr().String() {
		t.Fatalf("%d %+v", status, d)
	}
	if !slices.Equal(sorted(d.Channels), []string{"a", "b"}) || d.Subscriptions != 2 {
		t.Errorf("%+v", d)
	}
	parts := strings.Split(id, "-")
	for _, absent := range []string{"x", "other-0-1-1", in.node + "-9-1-1", in.node + "-0-0-1", in.node + "-0-zzzzz-1",
		in.node + "-0-1-zzzzz", in.node + "-0-1--1", in.node + "-0-1-1-1", in.node, strings.Join(parts[:len(parts)-1], "-") + "-7"} {
		for _, method := range []string{"GET", "DELETE"} {
			var f failure
			if status := in.call(method, "/v1/connections/"+absent, "", &f); status != 404 || f.Error.Code != "not_found" {
				t.Errorf("%s %s: %d %+v", method, absent, status, f)
			}
		}
	}
}

func TestOperatorClosesConnections(t *testing.T) {
	in := start(t, nil).ready()
	c := in.dial("/v1/ws?channels=a")
	id := c.expect("welcome").Connection
	c.expect("subscribed")
	if status := in.call("DELETE", "/v1/connections/"+id, "", nil); status != 200 {
		t.Fatalf("status %d", status)
	}
	if e := c.expect("bye"); e.Reason != "admin" {
		t.Errorf("got %+v", e)
	}
	if code := c.closed(); code != 1008 {
		t.Errorf("closed with %d", code)
	}
	if status := in.call("DELETE", "/v1/connections/"+id, "", nil); status != 404 {
		t.Errorf("a second time: %d", status)
	}

	raw := in.dial("/v1/ws?format=raw&channels=a")
	events := in.stream("a")
	poll := in.raw("GET /v1/poll?channels=a&wait=50 HTTP/1.1\r\nHost: test\r\n\r\n")
	head := in.raw("GET /v1/sse?chan")
	other := in.subscribed("b")
	eventually(t, "all are subscribed", func() bool {
		list, _ := readConnections(in, "/v1/connections?channel=a")
		heads, _ := readConnections(in, "/v1/connections?transport=http")
		return len(list) == 3 && len(heads) == 1
	})
	var n struct{ Closed int }
	if status := in.call("DELETE", "/v1/connections?channel=a", "", &n); status != 200 || n.Closed != 3 {
		t.Fatalf("%d %+v", status, n)
	}
	if code := raw.closed(); code != 1008 {
		t.Errorf("raw: closed with %d", code)
	}
	until(t, events, "event: bye")
	until(t, events, `data: {"type":"bye","reason":"admin","reconnect_after_ms":`)
	if rest, err := io.ReadAll(events); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("the stream goes on: %q, %v", rest, err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(poll), nil)
	if err != nil || answer.StatusCode != 503 || !answer.Close {
		t.Errorf("poll: %+v, %v", answer, err)
	}
	in.call("DELETE", "/v1/connections?transport=http", "", &n)
	if _, err := head.Read(make([]byte, 1)); n.Closed != 1 || err == nil {
		t.Errorf("a connection without a request: %d closed, read %v", n.Closed, err)
	}
	in.redis.Publish("b", "1")
	other.expect("message")
	if got := in.metric(`gateway_closes_total{reason="admin"}`); got != 5 {
		t.Errorf("%v closed for the operator", got)
	}
	for _, query := range []string{"", "?channel=", "?limit=1", "?transport="} {
		if status := in.call("DELETE", "/v1/connections"+query, "", nil); status != 400 {
			t.Errorf("DELETE %q: %d", query, status)
		}
	}
}
