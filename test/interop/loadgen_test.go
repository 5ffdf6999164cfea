package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// loadResult is the part of loadgen's result that these tests read.
type loadResult struct {
	Counters struct {
		Clients, Lost, Failed, Renewed, Deferred, Away uint64
		ProxyCut                                       uint64 `json:"proxy_cut"`
		ProxyReturned                                  uint64 `json:"proxy_returned"`
		Duplicated, Reordered, Gaps, Returned          uint64
	}
	Server   loadServer
	Fanout   *struct{ Expected, Missing, Delivered uint64 }
	Failures map[string]uint64
	Losses   map[string]uint64
	Proxy    string
	Failed   []string
	Warnings []string

	NotMeasured []string `json:"not_measured"`
	SLOs        []struct{ Measured, Met bool }
}

// loadServer is its part about the server.
type loadServer struct {
	Name             string
	RSSPerConnection float64 `json:"rss_per_connection_bytes"`
	CPUPerDelivery   float64 `json:"cpu_per_delivery_us"`
	After            struct{ Descriptors, Processes int }
}

// load runs loadgen until its end, and returns its result and exit code.
func load(t testing.TB, args ...string) (r loadResult, code int) {
	t.Helper()
	wait := beginLoad(t, args...)
	return wait()
}

// beginLoad starts loadgen; wait is load's other half.
func beginLoad(t testing.TB, args ...string) (wait func() (loadResult, int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, loader, append(args, "--json", "-")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (r loadResult, code int) {
		t.Helper()
		cmd.Wait()
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("loadgen %v: %v\n%s", args, err, errOut.String())
		}
		t.Logf("loadgen: exit %d, %+v, %+v, losses %v, failed %q, warnings %q", cmd.ProcessState.ExitCode(), r.Counters, r.Fanout, r.Losses, r.Failed, r.Warnings)
		return r, cmd.ProcessState.ExitCode()
	}
}

// loadedGateway runs a gateway whose clients are not given up while the machine is
// busy with all of them.
func loadedGateway(t testing.TB, flags ...string) *gateway {
	t.Helper()
	return startGateway(t, append([]string{"--heartbeat.interval", "50s", "--heartbeat.timeout", "40s"}, flags...)...)
}

// startNginx runs nginx with a server section until the test ends, and returns
// where it listens. %s in server is the upstream.
func startNginx(t testing.TB, server string) (addr string, cmd *exec.Cmd) {
	t.Helper()
	path := needs(t, "nginx")
	addr = gatewaytest.Address(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off;
pid %[1]s/pid;
error_log stderr warn;
worker_shutdown_timeout 1s;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
	server {
		listen %[2]s;
		location / {
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_buffering off;
		}
		%[3]s
	}
}
`, dir, addr, server)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = start(t, path, "-e", "stderr", "-p", dir, "-c", config)
	awaitListener(t, addr)
	return addr, cmd
}

func awaitListener(t testing.TB, addr string) {
	t.Helper()
	eventually(t, "it listens on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// passTo is nginx's way to a gateway, with further directives.
func passTo(g *gateway, directives string) string {
	return directives + " location /v1/ { proxy_pass http://" + g.Public + "; proxy_http_version 1.1;" +
		" proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_buffering off; }"
}

// TestLoadgenKeepAlive has nginx end each connection after ten requests. A poll
// goes on over a new one, as browsers' do, and nothing is missing.
func TestLoadgenKeepAlive(t *testing.T) {
	g := loadedGateway(t)
	addr, _ := startNginx(t, passTo(g, "keepalive_requests 10;"))
	r, code := load(t, "fanout", "--url", "ws://"+addr, "--transport", "poll", "-n", "60", "--channels", "room.%d{4}",
		"--messages", "400", "--rate", "40", "--redis", g.Redis.URL(), "--timeout", "90s", "--agents", "2")
	if code != 0 || r.Fanout == nil || r.Fanout.Missing != 0 || r.Counters.Lost != 0 || r.Counters.Duplicated != 0 || r.Counters.Renewed < 60 || r.Proxy != "nginx" {
		t.Errorf("exit code %d, proxy %q", code, r.Proxy)
	}
}

// TestLoadgenProxyCuts has a proxy cut connections that are idle for a second, less than a
// heartbeat. The clients reconnect, and miss nothing.
func TestLoadgenProxyCuts(t *testing.T) {
	proxies := map[string]func(t *testing.T, g *gateway) (addr string){
		"nginx": func(t *testing.T, g *gateway) string {
			addr, _ := startNginx(t, passTo(g, "proxy_read_timeout 1s;"))
			return addr
		},
		"haproxy": func(t *testing.T, g *gateway) string {
			return startHAProxy(t, "timeout server 1s\n timeout tunnel 1s\n server one %s", g).public
		},
	}
	for name, proxy := range proxies {
		for _, transport := range []string{"ws", "sse", "poll"} {
			t.Run(name+" "+transport, func(t *testing.T) {
				t.Parallel()
				needs(t, name)
				g := loadedGateway(t)
				r, code := load(t, "fanout", "--url", "ws://"+proxy(t, g), "--transport", transport, "-n", "20", "--channels", "news",
					"--messages", "4", "--rate", "0.4", "--redis", g.Redis.URL(), "--timeout", "90s", "--durable")
				if code != 0 || r.Fanout == nil || r.Fanout.Missing != 0 || r.Counters.Lost != 0 || r.Counters.Away != 0 || r.Counters.ProxyCut < 20 || r.Proxy != name {
					t.Errorf("exit code %d, proxy %q", code, r.Proxy)
				}
			})
		}
	}
}

// TestLoadgenProxyReload has nginx read its configuration anew while messages flow: its old
// workers cut their remaining connections after a second.
func TestLoadgenProxyReload(t *testing.T) {
	g := loadedGateway(t)
	addr, nginx := startNginx(t, passTo(g, ""))
	wait := beginLoad(t, "fanout", "--url", "ws://"+addr, "--transport", "ws:1,sse:1,poll:1", "-n", "60", "--channels", "news",
		"--messages", "300", "--rate", "50", "--redis", g.Redis.URL(), "--timeout", "90s")
	eventually(t, "the clients are there", func() bool { return g.Metric(`gateway_clients{transport="websocket"}`) == 20 })
	if err := nginx.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r, code := wait()
	n := r.Counters
	if code != 0 || r.Fanout == nil || r.Fanout.Missing != 0 || n.Lost != 0 || n.Away != 0 || n.ProxyCut < 20 || n.ProxyReturned != n.ProxyCut {
		t.Errorf("exit code %d", code)
	}
}

// TestLoadgenNoGatewayBehindProxy: the proxy answers, and loadgen says so.
func TestLoadgenNoGatewayBehindProxy(t *testing.T) {
	nobody := gatewaytest.Address(t)
	addr, _ := startNginx(t, "location /v1/ { proxy_pass http://"+nobody+"; }")
	r, code := load(t, "idle", "--url", "ws://"+addr, "-n", "20", "--hold", "0s")
	if code != 1 || r.Failures["HTTP 502 by nginx"] == 0 || !strings.Contains(strings.Join(r.Failed, "\n"), "it reaches no gateway") {
		t.Errorf("exit code %d, failures %v", code, r.Failures)
	}
}

// TestLoadgenSaysWhy: a gateway that refuses says why, and so does loadgen.
func TestLoadgenSaysWhy(t *testing.T) {
	g := loadedGateway(t)
	direct := g.Public
	proxied, _ := startNginx(t, passTo(g, ""))
	for name, addr := range map[string]string{"direct": direct, "through nginx": proxied} {
		for _, transport := range []string{"ws", "sse", "poll"} {
			t.Run(name+" "+transport, func(t *testing.T) {
				t.Parallel()
				channels := make([]string, 120)
				for i := range channels {
					channels[i] = fmt.Sprint("c", i)
				}
				r, code := load(t, "idle", "--url", "http://"+addr, "--transport", transport, "-n", "3", "--hold", "0s", "--channels", strings.Join(channels, ","))
				const why = "HTTP 400: 120 channels, a connection may have 100"
				text := strings.Join(r.Failed, "\n")
				if code != 1 || r.Failures[why] != 3 || !strings.Contains(text, why) || strings.Contains(text, "does not look like") {
					t.Errorf("exit code %d, failures %v, failed %q", code, r.Failures, r.Failed)
				}
			})
		}
	}
}

// TestLoadgenComesLater has a gateway put clients off. They reconnect when it says.
func TestLoadgenComesLater(t *testing.T) {
	t.Run("poll", func(t *testing.T) {
		t.Parallel()
		g := loadedGateway(t, "--limits.messages_per_second", "2")
		r, code := load(t, "fanout", "--url", "ws://"+g.Public, "--transport", "poll", "-n", "5", "--channels", "news",
			"--messages", "60", "--rate", "10", "--redis", g.Redis.URL(), "--timeout", "90s")
		if code != 0 || r.Fanout == nil || r.Fanout.Missing != 0 || r.Counters.Lost != 0 || r.Counters.Deferred == 0 {
			t.Errorf("exit code %d", code)
		}
	})
	for _, transport := range []string{"ws", "sse"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			g := loadedGateway(t, "--limits.handshakes_per_second", "5")
			r, code := load(t, "idle", "--url", "ws://"+g.Public, "--transport", transport, "-n", "40", "--hold", "0s", "--timeout", "90s")
			if code != 0 || r.Counters.Clients != 40 || r.Counters.Failed != 0 || r.Counters.Deferred == 0 {
				t.Errorf("exit code %d, failures %v", code, r.Failures)
			}
		})
	}
}

// TestLoadgenSocket reaches a gateway at its unix socket, as it is spelled in
// listen, and one that it starts itself.
func TestLoadgenSocket(t *testing.T) {
	path := "unix:" + filepath.Join(t.TempDir(), "gateway.sock")
	g := loadedGateway(t, "--listen", path)
	r, code := load(t, "fanout", "--url", g.Public, "--transport", "ws:1,sse:1,poll:1", "-n", "60", "--channels", "room.%d{4}",
		"--messages", "50", "--rate", "50", "--redis", g.Redis.URL(), "--timeout", "90s", "--agents", "2")
	if code != 0 || r.Fanout == nil || r.Fanout.Missing != 0 || r.Counters.Clients != 60 || r.Server.Name != "gateway" || g.Public != path {
		t.Errorf("exit code %d, server %+v", code, r.Server)
	}
	other := "unix:" + filepath.Join(t.TempDir(), "gateway.sock")
	r, code = load(t, "storm", "--url", other, "-n", "20", "--timeout", "90s", "--give-up", "90s", "--before", "100ms", "--after", "100ms",
		"--server-cmd", program+" serve --listen "+other+" --admin.listen 127.0.0.1:0 --drain.timeout 200ms --redis.url "+g.Redis.URL())
	if code != 0 || r.Counters.Returned != 20 {
		t.Errorf("exit code %d", code)
	}
}

// TestLoadgenSecure reaches a gateway through TLS of nginx, with connections that
// nginx ends after ten requests, from other processes too.
func TestLoadgenSecure(t *testing.T) {
	g := loadedGateway(t)
	certs := redistest.NewCertificates(t, "localhost")
	secure := gatewaytest.Address(t)
	startNginx(t, passTo(g, fmt.Sprintf("listen %s ssl; ssl_certificate %s; ssl_certificate_key %s; keepalive_requests 10;", secure, certs.Server, certs.ServerKey)))
	_, port, _ := strings.Cut(secure, ":")
	for _, agents := range []string{"0", "2"} {
		r, code := load(t, "fanout", "--url", "wss://localhost:"+port, "--ca", certs.CA, "--transport", "ws:1,sse:1,poll:1", "-n", "90", "--channels", "room.%d{4}",
			"--messages", "200", "--rate", "40", "--redis", g.Redis.URL(), "--timeout", "90s", "--agents", agents)
		if code != 0 || r.Fanout == nil || r.Fanout.Missing != 0 || r.Counters.Lost != 0 || r.Counters.Renewed < 30 || r.Proxy != "nginx" {
			t.Errorf("exit code %d, proxy %q", code, r.Proxy)
		}
	}
	r, code := load(t, "idle", "--url", "wss://localhost:"+port, "-n", "5", "--timeout", "90s")
	if code != 1 || !strings.Contains(strings.Join(r.Failed, "\n"), "--ca FILE") {
		t.Errorf("a certificate that nobody trusts: exit code %d", code)
	}
}
