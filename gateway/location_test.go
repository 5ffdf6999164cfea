package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/redistest"
)

// status returns the status of the response on a connection, which stays open.
func status(t testing.TB, c net.Conn) outcome { return readOutcome(t, bufio.NewReader(c)) }

func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	const most = 3
	in := start(t, func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = most }).ready()
	var inside []net.Conn
	for range most {
		inside = append(inside, in.from("127.0.0.2", upgradeHead))
		if o := status(t, inside[len(inside)-1]); o.status != 101 {
			t.Fatalf("within the limit: %+v", o)
		}
	}
	for _, request := range []string{upgradeHead, ""} {
		if o := status(t, in.from("127.0.0.2", request)); o.status != 503 || o.code != "too_many_from_address" || o.retry == "" {
			t.Errorf("one too many: %+v", o)
		}
	}
	if o := status(t, in.from("127.0.0.3", upgradeHead)); o.status != 101 {
		t.Errorf("another address: %+v", o)
	}
	if n := in.totals().rejects[reasons.RejectAddress]; n != 2 {
		t.Errorf("%d counted as turned away, want 2", n)
	}
	// One is reset, of which the kernel then knows nothing any more.
	reset(inside[0])
	eventually(t, "the seat is free", func() bool { n, _ := in.Addresses(); return n == most })
	if o := status(t, in.from("127.0.0.2", upgradeHead)); o.status != 101 {
		t.Errorf("in the seat of one that left: %+v", o)
	}
	// A lower limit applies to new connections; without one nothing is counted.
	in.reloadWith(func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 1 })
	if o := status(t, in.from("127.0.0.3", "")); o.status != 503 {
		t.Errorf("over the new limit: %+v", o)
	}
	in.reloadWith(func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = 0 })
	for range 2 * most {
		if o := status(t, in.from("127.0.0.2", upgradeHead)); o.status != 101 {
			t.Fatalf("without a limit: %+v", o)
		}
	}
	for _, c := range inside {
		c.Close()
	}
	in.reloadWith(func(c *gateway.Config) { c.Limits.ConnectionsPerAddress = most })
	eventually(t, "the last of the first ones is uncounted", func() bool { n, _ := in.Addresses(); return n == 2 })
}

// connected returns the addresses of all clients as the operator sees them.
func (in *instance) connected() (list []string) {
	in.t.Helper()
	var page struct{ Connections []admin.Connection }
	if status := in.call("GET", "/v1/connections?limit=1000", "", &page); status != 200 {
		in.t.Fatal(status)
	}
	for _, c := range page.Connections {
		list = append(list, c.Address)
	}
	slices.Sort(list)
	return list
}

func withHeader(head, line string) string {
	return strings.TrimSuffix(head, "\r\n") + line + "\r\n\r\n"
}

const fromProxy = "PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n"

// v2Local is a health check of a proxy, v2Client a client's connection.
const (
	v2Local  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	v2Client = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x01\x12\x34\x01\xbb"
)

func TestProxies(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	for name, test := range map[string]struct {
		protocol string
		trusted  string
		header   string // of PROXY
		send     string
		status   int
		code     string
		address  string // "" for the peer's own
	}{
		"v1":                                  {"v1", "127.0.0.2", fromProxy, upgradeHead, 101, "", "192.0.2.1:4660"},
		"v2":                                  {"any", "127.0.0.0/8", v2Client, upgradeHead, 101, "", "192.0.2.1:4660"},
		"v2, health check":                    {"v2", "127.0.0.2", v2Local, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", ""},
		"v2 where v1 is spoken":               {"v1", "127.0.0.2", v2Client, upgradeHead, 400, "bad_proxy_header", ""},
		"no header from a proxy":              {"any", "127.0.0.2", "", upgradeHead, 400, "bad_proxy_header", ""},
		"v1 from a stranger":                  {"any", "127.0.0.3", fromProxy, upgradeHead, 400, "bad_request_line", ""},
		"v2 from a stranger":                  {"any", "127.0.0.3", v2Client, upgradeHead, 400, "", ""},
		"v1 while off":                        {"off", "127.0.0.2", fromProxy, upgradeHead, 400, "bad_request_line", ""},
		"a stranger without":                  {"any", "127.0.0.3", "", upgradeHead, 101, "", ""},
		"forwarded":                           {"off", "127.0.0.2", "", withHeader(upgradeHead, "x-forwarded-for: 198.51.100.1, 192.0.2.1"), 101, "", "192.0.2.1"},
		"forwarded by a stranger":             {"off", "127.0.0.3", "", withHeader(upgradeHead, "X-Forwarded-For: 192.0.2.1"), 101, "", ""},
		"forwarded through a client of PROXY": {"v1", "127.0.0.2", fromProxy, withHeader(upgradeHead, "X-Forwarded-For: 8.8.8.8"), 101, "", "192.0.2.1:4660"},
		"forwarded through two proxies":       {"v1", "127.0.0.0/8", strings.Replace(fromProxy, "192.0.2.1", "127.9.9.9", 1), withHeader(upgradeHead, "X-Forwarded-For: 8.8.8.8, 192.0.2.7"), 101, "", "192.0.2.7"},
		"forwarded by a client unknown":       {"v1", "127.0.0.2", "PROXY UNKNOWN\r\n", withHeader(upgradeHead, "X-Forwarded-For: 192.0.2.1"), 101, "", ""},
		"forwarded nonsense":                  {"off", "127.0.0.2", "", withHeader(upgradeHead, "X-Forwarded-For: nonsense"), 101, "", ""},
	} {
		for _, pieces := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in pieces %v", name, pieces), func(t *testing.T) {
				if test.status == 400 {
					gateway.InTheClear(t, gateway.Malformed)
				}
				in := startOn(t, redis, func(c *gateway.Config) {
					c.Proxy.Protocol, c.Proxy.Trusted = test.protocol, []string{test.trusted}
				}).ready()
				d, send := clientDialer{Dialer: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}}, test.header+test.send
				if *gateway.TLSOfTests {
					d.before, send = test.header, test.send
				}
				c, err := d.Dial("tcp", in.Addr())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				c.SetDeadline(time.Now().Add(patience))
				if pieces {
					for i := range len(send) {
						if _, err := io.WriteString(c, send[i:i+1]); err != nil {
							break // refused already
						}
					}
				} else {
					io.WriteString(c, send)
				}
				o := status(t, c)
				if o.status != test.status || test.code != "" && o.code != test.code {
					t.Fatalf("got %+v", o)
				}
				if o.code == "bad_proxy_header" {
					if n := in.totals().rejects[reasons.RejectProxyHeader]; n != 1 {
						t.Errorf("%d counted", n)
					}
				}
				if o.status == 400 {
					return
				}
				want := test.address
				if want == "" {
					want = c.LocalAddr().String()
				}
				if got := in.connected(); !slices.Equal(got, []string{want}) {
					t.Errorf("the client is at %v, want %s", got, want)
				}
			})
		}
	}
}

// TestProxyHeaders: only the configured header names the client.
func TestProxyHeaders(t *testing.T) {
	t.Parallel()
	lies := []string{"X-Forwarded-For: 8.8.8.8", "Forwarded: for=8.8.8.8", "X-Real-IP: 8.8.8.8", "CF-Connecting-IP: 8.8.8.8", "True-Client-IP: 8.8.8.8"}
	in := start(t, func(c *gateway.Config) { c.Proxy.Trusted = []string{"127.0.0.2"} }).ready()
	for _, test := range []struct {
		header, line string
		address      string // "" for the peer's own
	}{
		{"x-forwarded-for", "X-Forwarded-For: 192.0.2.1", "192.0.2.1"},
		{"forwarded", `FORWARDED: for="[2001:db8::7]:4711";proto=https`, "2001:db8::7"},
		{"x-real-ip", "x-real-ip: 192.0.2.1", "192.0.2.1"},
		{"X-Real-IP", "x-real-ip: 192.0.2.1", "192.0.2.1"},
		{"cf-connecting-ip", "CF-Connecting-IP: 2001:db8::8", "2001:db8::8"},
		{"true-client-ip", "True-Client-IP: 192.0.2.1", "192.0.2.1"},
		{"x-real-ip", "X-Real-IP: unknown", ""},
		{"forwarded", "Forwarded: for=_hidden", ""},
	} {
		t.Run(test.header+" "+test.line, func(t *testing.T) {
			in.reloadWith(func(c *gateway.Config) { c.Proxy.Header = test.header })
			name, _, _ := strings.Cut(test.line, ":")
			head := upgradeHead
			for _, lie := range lies { // a client's forged entries precede the proxy's
				if lied, _, _ := strings.Cut(lie, ":"); !strings.EqualFold(lied, name) || strings.EqualFold(lied, "X-Real-IP") {
					head = withHeader(head, lie)
				}
			}
			for from, want := range map[string]string{"127.0.0.2": test.address, "127.0.0.3": ""} {
				c := in.from(from, withHeader(head, test.line))
				if o := status(t, c); o.status != 101 {
					t.Fatalf("got %+v", o)
				}
				if want == "" {
					want = c.LocalAddr().String()
				}
				if got := in.connected(); !slices.Equal(got, []string{want}) {
					t.Errorf("from %s: the client is at %v, want %s", from, got, want)
				}
				c.Close()
				eventually(t, "it has left", func() bool { return in.metric("gateway_connections") == 0 })
			}
		})
	}
	for header, ok := range map[string]bool{"Forwarded": true, "x-real-ip": true, "": false, "x-forwarded-fro": false, "host": false} {
		cfg := gateway.DefaultConfig()
		cfg.Proxy.Header, cfg.Proxy.Trusted = header, []string{"127.0.0.2"}
		if err := cfg.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", header, err)
		}
	}
}

// Behind a proxy that names no client the limits by address don't hold. The log says so once, and
// not for a health check.
func TestNamelessProxyIsTold(t *testing.T) {
	t.Parallel()
	in := startLogged(t, slog.LevelInfo, func(c *gateway.Config) { c.Proxy.Trusted = []string{"127.0.0.2"}; c.Shards = 1 }).ready()
	for request, want := range map[string]int{
		get("/healthz"): 0,
		get("/v1/poll?channels=a&wait=0", "X-Forwarded-For: 192.0.2.1\r\n"): 0,
		get("/v1/poll?channels=a&wait=0", "X-Real-IP: 192.0.2.1\r\n"):       1,
	} {
		before := len(in.log.String())
		for range 3 {
			status(t, in.from("127.0.0.2", request))
		}
		in.Turn()
		log := in.log.String()[before:]
		if n := strings.Count(log, "proxy=127.0.0.2 header=x-forwarded-for key=proxy.header"); n != want {
			t.Errorf("%.30q: told %d times, want %d: %s", request, n, want, log)
		}
	}
}

// Limits are for the clients behind a proxy and not for the proxy.
func TestAddressesBehindProxy(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Proxy.Protocol, c.Proxy.Trusted = "off", []string{"127.0.0.2"}
		c.Limits.ConnectionsPerAddress = 1
	}).ready()
	client := func(i int) string { return withHeader(upgradeHead, fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i)) }
	for i := range 5 {
		if o := status(t, in.from("127.0.0.2", client(i))); o.status != 101 {
			t.Fatalf("client %d: %+v", i, o)
		}
	}
	if o := status(t, in.from("127.0.0.2", client(3))); o.status != 503 || o.code != "too_many_from_address" {
		t.Errorf("the second one from there: %+v", o)
	}
	// Requests of several clients over one connection of the proxy.
	c := in.from("127.0.0.2", "")
	r := bufio.NewReader(c)
	for i := range 3 {
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.%d\r\n\r\n", i)
		if o := readOutcome(t, r); o.status != 200 {
			t.Fatalf("request %d: %+v", i, o)
		}
	}
	if n, places := in.Addresses(); n != 6 || places != 6 {
		t.Errorf("%d connections from %d addresses are counted, want 6 from 6", n, places)
	}
}

func TestProxyBeforeUnixSocket(t *testing.T) {
	gateway.InTheClear(t, gateway.OnUnixSockets)
	path := filepath.Join(t.TempDir(), "s")
	in := start(t, func(c *gateway.Config) {
		c.Listen = "unix:" + path
		c.Proxy.Protocol, c.Proxy.Trusted = "v1", []string{"unix"}
	}).ready()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, fromProxy+upgradeHead)
	if o := status(t, c); o.status != 101 {
		t.Fatalf("got %+v", o)
	}
	if got := in.connected(); !slices.Equal(got, []string{"192.0.2.1:4660"}) {
		t.Errorf("the client is at %v", got)
	}
}

// A proxy that says nothing, or not enough, has the time of a head for it.
func TestSlowProxy(t *testing.T) {
	gateway.InTheClear(t, gateway.Malformed)
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Proxy.Protocol, c.Proxy.Trusted = "any", []string{"127.0.0.0/8"}
		c.Limits.HeadTimeout = time.Second
	}).ready()
	if o := status(t, in.raw("PROXY TCP4 192")); o.status != 408 {
		t.Errorf("half a header: %+v", o)
	}
	if b, err := io.ReadAll(in.raw("")); len(b) != 0 || err != nil {
		t.Errorf("nothing: %q, %v", b, err)
	}
}
