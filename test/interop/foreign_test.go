package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// foreign is a server that is no pushgate, with loadgen's flags for it.
type foreign struct {
	name  string // of its process
	flags []string
	sse   bool
}

// startHub runs a Node server with the package ws, which is published to by HTTP.
func startHub(t *testing.T) foreign {
	modules := npmInstall(t, "ws")
	addr := gatewaytest.Address(t)
	cmd := exec.Command(needs(t, "node"), filepath.Join("testdata", "hub.js"), addr[strings.LastIndexByte(addr, ':')+1:])
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	awaitListener(t, addr)
	return foreign{name: "node", flags: []string{"--url", "ws://" + addr + "/chat", "--hello", `{"enter":"{channel}"}`,
		"--publish-url", "http://" + addr + "/say", "--publish-body", `{"room":"{channel}","text":"{message}"}`}}
}

// startNchan runs nginx with nchan, whose channels are in its paths.
func startNchan(t *testing.T) foreign {
	const module = "/usr/lib/nginx/modules/ngx_nchan_module.so"
	path := needs(t, "nginx")
	needsFile(t, module, "libnginx-mod-nchan")
	addr := gatewaytest.Address(t)
	dir := t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	text := fmt.Sprintf(`%[4]s
load_module %[3]s;
daemon off;
pid %[1]s/pid;
error_log stderr warn;
worker_processes 2;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[2]s;
		location ~ ^/sub/(.+)$ { nchan_subscriber websocket eventsource; nchan_channel_id $1; nchan_subscriber_first_message newest; }
		location ~ ^/pub/(.+)$ { nchan_publisher http; nchan_channel_id $1; nchan_message_buffer_length 0; }
	}
}
`, dir, addr, module, user)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, path, "-e", "stderr", "-p", dir, "-c", config)
	awaitListener(t, addr)
	return foreign{name: "nginx", sse: true, flags: []string{"--url", "ws://" + addr + "/sub/{channel}", "--publish-url", "http://" + addr + "/pub/{channel}"}}
}

// TestForeignServers measures third-party servers: the cost of a connection, and whether every
// message reaches every subscriber.
func TestForeignServers(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) foreign{"Node": startHub, "nchan": startNchan} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			var last loadServer
			transports := []string{"ws"}
			if s.sse {
				transports = append(transports, "sse")
			}
			for _, transport := range transports {
				r, code := load(t, slices.Concat([]string{"fanout", "--transport", transport, "-n", "600", "--channels", "room.%d{5}",
					"--messages", "50", "--rate", "25", "--timeout", "90s"}, s.flags)...)
				x := r.Server
				last = x
				if code != 0 || r.Fanout == nil || r.Fanout.Expected != 50*120 || r.Fanout.Missing != 0 || r.Fanout.Delivered != 50*120 || r.Counters.Duplicated != 0 || r.Proxy != "" {
					t.Errorf("%s: exit code %d", transport, code)
				}
				if x.Name != s.name || x.RSSPerConnection < 500 || x.RSSPerConnection > 200_000 || x.CPUPerDelivery <= 0 || x.After.Descriptors < 600 {
					t.Errorf("%s: server %+v", transport, x)
				}
				if len(r.NotMeasured) == 0 {
					t.Error("the result does not say what it has not")
				}
			}
			if name == "nchan" && last.After.Processes != 3 {
				t.Errorf("%d processes were measured, want nginx and its two workers", last.After.Processes)
			}
			// With a limit for an unknown figure, the run says so.
			r, code := load(t, slices.Concat([]string{"fanout", "-n", "5", "--messages", "3", "--timeout", "90s", "--slo", "gaps==0", "--slo", "missing==0"}, s.flags)...)
			if code != 99 || r.SLOs[0].Measured || r.SLOs[0].Met || !r.SLOs[1].Met {
				t.Errorf("exit code %d, %+v", code, r.SLOs)
			}
		})
	}
}

// TestForeignServerRestarts has loadgen start a third-party server and restart it: its clients
// reconnect and subscribe again.
func TestForeignServerRestarts(t *testing.T) {
	modules := npmInstall(t, "ws")
	addr := gatewaytest.Address(t)
	r, code := load(t, "storm", "--url", "ws://"+addr+"/chat", "--hello", `{"enter":"{channel}"}`, "-n", "50", "--before", "100ms", "--after", "100ms",
		"--timeout", "90s", "--give-up", "90s", "--server-cmd", "NODE_PATH="+modules+" "+needs(t, "node")+" testdata/hub.js "+addr[strings.LastIndexByte(addr, ':')+1:])
	if code != 0 || r.Counters.Returned != 50 {
		t.Errorf("exit code %d, failed %q", code, r.Failed)
	}
}
