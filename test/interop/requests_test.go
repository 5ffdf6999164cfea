package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHAProxyChecks: the checks that an operator writes in two words take a gateway in
// and out.
func TestHAProxyChecks(t *testing.T) {
	for name, check := range map[string]string{
		"bare":             "option httpchk",
		"a path":           "option httpchk /readyz",
		"GET":              "option httpchk GET /",
		"HTTP/1.1":         "option httpchk\n http-check send meth OPTIONS uri / ver HTTP/1.1 hdr Host gateway",
		"over PROXY":       "option httpchk",
		"HEAD of the root": "option httpchk HEAD / HTTP/1.0",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, flags := "", []string{"--drain.delay", "60s"}
			if name == "over PROXY" {
				server, flags = " send-proxy-v2 check-send-proxy", append(flags, "--proxy.protocol", "v2", "--proxy.trusted", "127.0.0.1")
			}
			g := startGateway(t, flags...)
			b := startHAProxy(t, check+"\n default-server inter 200ms fall 1 rise 1 check\n server one %s"+server, g)
			is := func(status string) func() bool {
				return func() bool { return b.server("one")["check_status"] == "L7"+status }
			}
			eventually(t, "the gateway is in", is("OK"))
			if status, body := get(t, "http://"+b.public+"/v1/poll?channels=a&wait=0"); status != 204 {
				t.Errorf("%d %s", status, body)
			}
			g.Signal(syscall.SIGTERM)
			eventually(t, "the gateway is out", is("STS"))
		})
	}
}

// TestCurl has curl make all requests that it can.
func TestCurl(t *testing.T) {
	needs(t, "curl")
	g := startGateway(t, "--auth.mode", "none")
	url := "http://" + g.Public
	for name, test := range map[string]struct {
		args []string
		want string // statuses, and how many connections it took
	}{
		"as a proxy":           {[]string{"-x" + url, "http://push.example/v1/poll?channels=a&wait=0"}, "204 1"},
		"HEAD":                 {[]string{"-I", url + "/", url + "/v1/poll?channels=a"}, "200 1 200 0"},
		"HEAD of a stream":     {[]string{"-I", url + "/v1/sse?channels=a"}, "200 1"},
		"OPTIONS":              {[]string{"-X", "OPTIONS", url, "--next", "-X", "OPTIONS", "--request-target", "*", url}, "200 1 200 0"},
		"paths as they are":    {[]string{"--path-as-is", url + "//v1/poll/?channels=a&wait=0"}, "204 1"},
		"expecting to go on":   {[]string{"-H", "Expect: 100-continue", "-d", `{"channels":["a"],"wait":0}`, url + "/v1/poll"}, "204 1"},
		"expecting more":       {[]string{"-H", "Expect: more", "-d", `{"channels":["a"],"wait":0}`, url + "/v1/poll"}, "417 1"},
		"too much to send":     {[]string{"-H", "Expect: 100-continue", "-d", strings.Repeat("x", 100_000), url + "/v1/poll"}, "413 1"},
		"chunked":              {[]string{"-H", "Transfer-Encoding: chunked", "-d", `{"channels":["a"],"wait":0}`, url + "/v1/poll"}, "204 1"},
		"HTTP/1.0":             {[]string{"-0", url + "/healthz", url + "/healthz"}, "200 1 200 1"},
		"HTTP/1.0, keep-alive": {[]string{"-0", "-H", "Connection: keep-alive", url + "/healthz", url + "/v1/poll?channels=a&wait=0"}, "200 1 204 0"},
		"compression":          {[]string{"--compressed", url + "/v1/poll?channels=a&wait=0"}, "204 1"},
		"an upgrade to HTTP/2": {[]string{"--http2", url + "/healthz"}, "200 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const format = "%{http_code} %{num_connects} "
			var args []string // each part behind --next has options of its own
			for _, part := range strings.Split(strings.Join(test.args, "\x00"), "\x00--next\x00") {
				if args != nil {
					args = append(args, "--next")
				}
				part := strings.Split(part, "\x00")
				args = append(args, "-s", "-S", "-m", "60", "-w", format)
				for _, arg := range part {
					if strings.HasPrefix(arg, "http") {
						args = append(args, "-o", "/dev/null")
					}
					args = append(args, arg)
				}
			}
			out, err := exec.Command("curl", args...).CombinedOutput()
			if got := strings.TrimSpace(string(out)); got != test.want || err != nil {
				t.Errorf("got %s, want %s, %v", got, test.want, err)
			}
		})
	}
}

// TestHalfClosedThroughHAProxy: in TCP mode HAProxy passes on that a client has
// ended its side, as nc -N does behind a request. The poll waits, and is answered.
func TestHalfClosedThroughHAProxy(t *testing.T) {
	g := startGateway(t)
	b := startHAProxy(t, "mode tcp\n server one %s", g)
	c, err := net.Dial("tcp", b.public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /v1/poll?channels=%s&wait=55 HTTP/1.1\r\nHost: gateway\r\n\r\n", channel)
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the poll waits", func() bool { return g.Metric(`gateway_clients{transport="poll"}`) == 1 })
	// The answer begins when its end has arrived.
	r := bufio.NewReader(c)
	if lead, err := r.Peek(len("HTTP/1.1 ")); err != nil {
		t.Fatalf("%q, %v", lead, err)
	}
	g.Redis.Publish(channel, `"half"`)
	all, err := io.ReadAll(r)
	if text := string(all); err != nil || !strings.HasPrefix(text, "HTTP/1.1 200 OK\r\n") || !strings.Contains(text, `"data":"half"`) {
		t.Errorf("%q, %v", text, err)
	}
}

// TestNetcat: nc reads a request from standard input, and prints the answer.
func TestNetcat(t *testing.T) {
	g := startGateway(t)
	host, port, _ := net.SplitHostPort(g.Public)
	nc := exec.Command(needs(t, "nc"), "-N", host, port)
	nc.Stdin = strings.NewReader("GET /v1/sse?channels=" + channel + " HTTP/1.0\r\n\r\n")
	out, err := nc.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Start(); err != nil {
		t.Fatal(err)
	}
	defer nc.Wait()
	defer nc.Process.Kill()
	lines := bufio.NewScanner(out)
	for n := range 3 {
		eventually(t, "it is subscribed", func() bool { return g.Redis.Publish(channel, fmt.Sprint(n)) == 1 })
		for lines.Scan() && !strings.Contains(lines.Text(), fmt.Sprintf(`"data":%d`, n)) {
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
}
