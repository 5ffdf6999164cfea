package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loopback"
	"github.com/pushgate/pushgate/internal/probe"
)

// channel is the one that all clients subscribe to.
const channel = "bench"

// numberMark stands before a message's number, whatever a server puts around it.
const numberMark = `{"n":`

// server is one of those that are compared.
type server struct {
	name       string
	transports []transport
	// missing returns an error where programs are missing to start it.
	missing func() error
	start   func(context.Context, setting) (*running, error)
}

// servers are in the order of the page, the gateway first.
var servers = []server{
	{gatewayName, transports, missingRedis, startPushgate},
	{"nginx + pushgate", secure, missingNginx, startProxied(nginxProxy)},
	{"HAProxy + pushgate", secure, missingHAProxy, startProxied(haproxyProxy)},
	{netHTTPName, secure, nothing, startOwn},
	{centrifugeName, transports, nothing, startOwn},
	{"gobwas goroutines", plain, nothing, startOwn},
	{"gorilla hub", plain, nothing, startOwn},
	{"nchan", plain, missingNchan, startNchan},
}

// gatewayName is the gateway's in the tables and on the command line.
const gatewayName = "pushgate"

// serversOf returns those of the servers that a transport is measured with.
func serversOf(t transport, all []server) (some []server) {
	for _, s := range all {
		if slices.Contains(s.transports, t) {
			some = append(some, s)
		}
	}
	return some
}

func nothing() error { return nil }

// setting is the load that a server is started for.
type setting struct {
	options
	server      string
	transport   transport
	connections int
	dir         string // for files, removed afterwards
}

// heartbeat is the time between two heartbeats. Over TLS none falls into the measurement: handshakes
// take so long that the first clients' heartbeats would be charged to the connects of the others.
func (s setting) heartbeat() time.Duration {
	if s.transport == secureTransport {
		return time.Hour
	}
	return s.interval
}

// pongTimeout is how long a client may take to answer a ping, where a server
// asks. The machine is busy.
func (s setting) pongTimeout() time.Duration { return s.heartbeat() * 3 / 4 }

// running is a server that has been started.
type running struct {
	*rig.Process
	behind  *rig.Process // the gateway that Process is a proxy for; nil: none
	listen  netip.AddrPort
	path    string
	speech  client.Speech
	publish func(ctx context.Context, text []byte) error
	redis   *rig.Process // counted apart; nil where there is none
	config  string       // command line and files, for the page
	close   func()
}

// pids are of all processes of the server.
func (r *running) pids() []int {
	pids := probe.FamilyPIDs(r.PID())
	if r.behind != nil {
		pids = append(pids, probe.FamilyPIDs(r.behind.PID())...)
	}
	return pids
}

// logs are of all processes of the server.
func (r *running) logs() string {
	if r.behind != nil {
		return r.Log() + r.behind.Log()
	}
	return r.Log()
}

// cpu returns the CPU time of all processes of the server.
func (r *running) cpu() (sum time.Duration) {
	for _, pid := range r.pids() {
		used, _ := probe.CPU(pid)
		sum += used
	}
	return sum
}

// memory returns the memory of all processes of the server, in bytes: each
// page that several of them have is counted once. Pages of program files are
// left out; they are as many with clients as without.
func (r *running) memory() (sum int64, err error) {
	for _, pid := range r.pids() {
		sizes, err := probe.Rollup(pid)
		if err != nil {
			return 0, err
		}
		sum += int64(sizes["Pss_Anon"] + sizes["Pss_Shmem"])
	}
	return sum, nil
}

func missingRedis() error {
	_, err := rig.RedisProgram()
	return err
}

// startPushgate starts the gateway and a redis-server, which counts as a part
// of the machine and not of the gateway.
func startPushgate(ctx context.Context, s setting) (*running, error) {
	if s.transport != secureTransport {
		return startGateway(ctx, s)
	}
	listen, err := loopback.Reserve()
	if err != nil {
		return nil, err
	}
	r, err := startGateway(ctx, s, "--tls.listen", listen, "--tls.certificates",
		fmt.Sprintf("[{cert_file: %s, key_file: %s}]", certificateFile(s.dir), keyFile(s.dir)))
	if err == nil {
		r.listen = netip.MustParseAddrPort(listen)
		r.config = strings.NewReplacer(listen, "127.0.0.1:8443", "[{", "'[{", "}]", "}]'", s.dir, "/tmp/peers").Replace(r.config)
	}
	return r, err
}

// startGateway starts both with further arguments of the gateway's. Its clients come without TLS.
func startGateway(ctx context.Context, s setting, more ...string) (*running, error) {
	redis, err := rig.StartRedis(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	args := []string{"serve",
		"--heartbeat.interval", s.heartbeat().String(),
		"--heartbeat.timeout", s.pongTimeout().String(),
		"--limits.connections", fmt.Sprint(s.connections),
		"--log.level", "warn",
	}
	args = append(args, more...)
	g, err := rig.StartGateway(ctx, exec.CommandContext(ctx, s.gateway, append(args, "--redis.url", redis.URL)...))
	if err != nil {
		redis.Close()
		return nil, err
	}
	path := "/v1/ws"
	if s.transport == eventsTransport {
		path = "/v1/sse"
	}
	return &running{
		Process: g.Process,
		redis:   redis.Process,
		listen:  g.Listen,
		path:    path + "?channels=" + channel,
		speech:  client.Speech{Joined: `{"type":"subscribed"`, Number: numberMark},
		publish: func(ctx context.Context, text []byte) error {
			return redis.Client.Publish(ctx, rig.RedisPrefix+channel, text).Err()
		},
		config: "gateway " + strings.Join(args, " ") + " --redis.url redis://127.0.0.1:6379\n" +
			`redis-server --save "" --bind 127.0.0.1`,
		close: func() {
			g.Kill()
			redis.Close()
		},
	}, nil
}
