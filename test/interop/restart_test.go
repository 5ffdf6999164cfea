package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// longRestart runs the restarts in full size: make restarts.
var longRestart = flag.Bool("restart.long", false, "restart gateways of 1,000 clients with the default drain")

// front is a proxy in front of two gateways, with the configuration that is in
// deploy.
type front struct {
	file string
	// They return the command lines that judge the file and that serve it.
	judge, serve func(program, file string) []string
	// checks says that the proxy asks the gateways' /readyz by itself, for which
	// they have a drain.delay.
	checks bool
	delay  string
}

var fronts = map[string]front{
	"nginx": {
		file: "nginx.conf", delay: "0s",
		judge: func(program, file string) []string { return []string{program, "-t", "-e", "stderr", "-c", file} },
		serve: func(program, file string) []string {
			// It writes a line for each connection that is refused.
			return []string{program, "-e", filepath.Join(filepath.Dir(file), "error.log"), "-c", file, "-g", "daemon off;"}
		},
	},
	"haproxy": {
		file:   "haproxy.cfg",
		judge:  func(program, file string) []string { return []string{program, "-c", "-f", file} },
		serve:  func(program, file string) []string { return []string{program, "-db", "-f", file} },
		checks: true, delay: "3s",
	},
}

// TestRollingRestart restarts two gateways one after the other, as a supervisor does, behind a
// real proxy with the file that the documents recommend. Clients are back within seconds, and
// miss no durable message published meanwhile.
func TestRollingRestart(t *testing.T) {
	for name, f := range fronts {
		t.Run(name, func(t *testing.T) {
			proxy := needs(t, name)
			redis := redistest.Start(t)
			n, over := 300, "3s"
			if *longRestart {
				n, over = 1000, "30s"
			}
			flags := []string{"--drain.delay", f.delay, "--heartbeat.interval", "25s", "--heartbeat.timeout", "10s", "--drain.timeout", over, "--proxy.trusted", "127.0.0.1"}
			gateways := [3]*gateway{nil, startGatewayOn(t, redis, flags...), startGatewayOn(t, redis, flags...)}
			addrs := [3]string{gatewaytest.Address(t), gateways[1].Public, gateways[2].Public} // the proxy's first
			trust := f.start(t, proxy, addrs)
			eventually(t, "the proxy serves", func() bool {
				status, _ := tryGet(trust, "https://"+addrs[0]+"/v1/ws", "")
				return status == http.StatusUpgradeRequired
			})

			// A poll that changes nodes gets a gap in a channel that isn't known yet to be
			// durable.
			b := &backend{t: t, redis: redis}
			b.publish()

			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			defer running.Wait()
			defer cancel()
			clients := make([]*roamer, n)
			for i := range clients {
				// Polls even out by themselves: each is a request of its own.
				clients[i] = newRoamer([]string{"ws", "sse", "ws", "sse", "poll"}[i%5], addrs[0], trust)
				running.Go(func() { clients[i].run(ctx) })
			}
			allHere := func() bool { return all(clients, func(r *roamer) bool { return r.here }) }
			// The first poll waits for its whole time.
			eventually(t, "all clients are here", allHere)
			if n := connectionsFrom(t, gateways[1], "127.0.0.9") + connectionsFrom(t, gateways[2], "127.0.0.9"); n < len(clients) {
				t.Errorf("the gateways know the address of %d clients", n)
			}
			stopPublishing := b.keepPublishing()

			for k := 1; k <= 2; k++ {
				gateways[k].Signal(syscall.SIGTERM)
				gateways[k].Exits()
				if k == 2 { // while its program is replaced
					eventually(t, "all clients are at the other node", allHere)
				}
				gateways[k].Restart()
				if f.checks {
					eventually(t, "the proxy has asked the new one", func() bool { return gateways[k].Metric("gateway_accepts_total") >= 2 })
				}
				eventually(t, "all clients are back", allHere)
			}
			// Clients stay where they are, so the last node is empty; it says so, and
			// one command evens both.
			eventually(t, "the last node says that it has few clients", func() bool {
				return strings.Contains(gateways[2].Log(), "this node has far fewer clients than the others")
			})
			out, err := exec.Command(program, "rebalance", "--admin.listen", gateways[2].Admin, "--over", "2s").CombinedOutput()
			t.Logf("gateway rebalance: %s", out)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the nodes are even", func() bool {
				a, b := gateways[1].Metric("gateway_connections"), gateways[2].Metric("gateway_connections")
				return allHere() && max(a, b) < 1.3*min(a, b)
			})
			sent := stopPublishing()
			eventually(t, "all clients have the last message", func() bool { return all(clients, func(r *roamer) bool { return r.next >= sent }) })
			cancel()
			running.Wait()
			judge(t, clients, sent)

			for k := 1; k <= 2; k++ {
				gateways[k].Signal(syscall.SIGTERM)
				gateways[k].Exits()
			}
			// An event stream is asked to reconnect, which no EventSource does by itself after
			// a 502.
			eventually(t, "an event stream is told to come back", func() bool {
				status, answer := tryGet(trust, "https://"+addrs[0]+"/v1/sse?channels=news", "https://www.example.com")
				return status == 200 && strings.Contains(answer, "retry: ") && strings.Contains(answer, "Access-Control-Allow-Origin: https://www.example.com\r\n") &&
					strings.Contains(answer, "Content-Type: text/event-stream")
			})
		})
	}
}

// all reports whether something is true of each client, asked with its lock held.
func all(clients []*roamer, is func(*roamer) bool) bool {
	for _, r := range clients {
		r.mu.Lock()
		ok := is(r)
		r.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// judge checks the clients' experience of the restarts.
func judge(t *testing.T, clients []*roamer, sent int) {
	t.Helper()
	var away []time.Duration
	refused := map[string]int{}
	vain := 0
	for i, r := range clients {
		if r.wrong != "" || r.next != sent {
			t.Errorf("client %d (%s) has %d of %d messages: %s", i, r.transport, r.next, sent, r.wrong)
		}
		if r.transport != "poll" { // its requests are answered or not
			away = append(away, r.away...)
		}
		for why, n := range r.refused {
			refused[why] += n
			vain += n
		}
	}
	slices.Sort(away)
	at := func(share float64) time.Duration { return away[int(share*float64(len(away)-1))] }
	t.Logf("%d clients, %d messages: away %d times, p50 %v, p95 %v, longest %v; tried in vain %v",
		len(clients), sent, len(away), at(0.5), at(0.95), at(1), refused)
	// Each goes at least once; a client of the second node goes twice.
	if least := len(clients) * 2 / 3; len(away) < least {
		t.Errorf("clients were away %d times, want %d at least", len(away), least)
	}
	if at(0.5) > 1500*time.Millisecond || at(0.95) > 4*time.Second {
		t.Errorf("clients are away for %v (p50) and %v (p95)", at(0.5), at(0.95))
	}
	if vain > len(clients)/10 {
		t.Errorf("%d tries in vain", vain)
	}
}

// start runs the proxy with its file from deploy, in which only addresses and paths are others.
// It returns the TLS configuration of its clients.
func (f front) start(t *testing.T, program string, addrs [3]string) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := redistest.NewCertificates(t, "push.example.com")
	both := write("both.pem", read(c.Server)+read(c.ServerKey))
	replaced := strings.NewReplacer(
		"listen 443", "listen "+addrs[0], "bind :443", "bind "+addrs[0], "10.0.0.1:8080", addrs[1], "10.0.0.2:8080", addrs[2],
		"/etc/nginx/push.pem", both, "/etc/haproxy/push.pem", both, "/etc/nginx/push.key", c.ServerKey,
		"/var/log/nginx/access.log", filepath.Join(dir, "access.log"),
	).Replace(read(filepath.Join("../../deploy", f.file)))
	file := write(f.file, replaced)
	judged := f.judge(program, file)
	if out, err := exec.Command(judged[0], judged[1:]...).CombinedOutput(); err != nil || strings.Contains(string(out), "[warn]") || strings.Contains(string(out), "[WARNING]") {
		t.Fatalf("%s: %v\n%s", strings.Join(judged, " "), err, out)
	}
	argv := f.serve(program, file)
	start(t, argv[0], argv[1:]...)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(c.CA)))
	return &tls.Config{RootCAs: roots, ServerName: "push.example.com"}
}

// tryGet asks for a page of the proxy and returns the whole answer, or nothing.
func tryGet(trust *tls.Config, url, origin string) (status int, answer string) {
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	q, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	if origin != "" {
		q.Header.Set("Origin", origin)
	}
	r, err := c.Do(q)
	if err != nil {
		return 0, ""
	}
	defer r.Body.Close()
	var b strings.Builder
	r.Header.Write(&b)
	io.Copy(&b, r.Body) // a stream that stays is cut by the time limit
	return r.StatusCode, b.String()
}

// connectionsFrom returns how many connections a gateway has from an address.
func connectionsFrom(t *testing.T, g *gateway, address string) int {
	t.Helper()
	var page struct{ Connections []json.RawMessage }
	gatewaytest.Call(t, "GET", "http://"+g.Admin+"/v1/connections?limit=1000&address="+address, "", &page)
	return len(page.Connections)
}

// backend publishes numbered messages durably.
type backend struct {
	t     *testing.T
	redis *redistest.Server
	n     int // of the next one; owned by the publishing goroutine while there is one
}

func (b *backend) publish() {
	b.redis.PublishDurable(channel, fmt.Sprintf(`{"n":%d}`, b.n))
	b.n++
}

// keepPublishing publishes until stop is called, which returns how many messages
// there were.
func (b *backend) keepPublishing() (stop func() int) {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	go func() {
		// Ends with ctx, which the test's end cancels too.
		defer close(ended)
		every := time.NewTicker(400 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				b.publish()
			}
		}
	}()
	return func() int {
		cancel()
		<-ended
		return b.n
	}
}
