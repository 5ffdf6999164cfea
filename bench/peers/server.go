package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/probe"
)

// channel is the one that all clients subscribe to.
const channel = "bench"

// numberMark stands before a message's number, whatever a server puts around it.
const numberMark = `{"n":`

// server is one of those that are compared.
type server struct {
	name string
	// missing returns an error where programs are missing to start it.
	missing func() error
	start   func(context.Context, setting) (*running, error)
}

// servers are in the order of the page, the gateway first.
var servers = []server{
	{"pushgate", missingRedis, startPushgate},
	{centrifugeName, nothing, startOwn},
	{"gobwas goroutines", nothing, startOwn},
	{"gorilla hub", nothing, startOwn},
	{"nchan", missingNchan, startNchan},
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

// running is a server that has been started.
type running struct {
	*rig.Process
	listen  netip.AddrPort
	path    string
	speech  client.Speech
	publish func(ctx context.Context, text []byte) error
	redis   *rig.Process // counted apart; nil where there is none
	config  string       // command line and files, for the page
	close   func()
}

// cpu returns the CPU time of all processes of the server.
func (r *running) cpu() (sum time.Duration) {
	for _, pid := range probe.FamilyPIDs(r.PID()) {
		used, _ := probe.CPU(pid)
		sum += used
	}
	return sum
}

// memory returns the memory of all processes of the server, in bytes: each
// page that several of them have is counted once. Pages of program files are
// left out; they are as many with clients as without.
func (r *running) memory() (sum int64, err error) {
	for _, pid := range probe.FamilyPIDs(r.PID()) {
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
	redis, err := rig.StartRedis(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	args := []string{"serve",
		"--heartbeat.interval", s.interval.String(),
		"--heartbeat.timeout", s.pongTimeout().String(),
		"--limits.connections", fmt.Sprint(s.connections),
		"--log.level", "warn",
	}
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
