package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// channel is what all clients subscribe to.
const channel = "bench"

// server is one of those that are compared.
type server struct {
	name string
	// absent says what is missing on this machine, "" when it can be started.
	absent func() string
	start  func(context.Context, setting) (*running, error)
}

// servers are in the order of the page, the gateway first.
var servers = []server{
	{"pushgate", absentRedis, startPushgate},
	{centrifugeName, present, startOwn},
	{"gobwas goroutines", present, startOwn},
	{"gorilla hub", present, startOwn},
	{"nchan", absentNchan, startNchan},
}

func present() string { return "" }

// setting is what a server is started for.
type setting struct {
	server      string
	transport   transport
	connections int
	interval    time.Duration
	gateway     string // program
	dir         string // for files, removed afterwards
}

// running is a server that has been started.
type running struct {
	*rig.Process
	listen  netip.AddrPort
	path    string
	speech  speech
	publish func(ctx context.Context, text []byte) error
	// workers returns the process ids beside the first one; nil: there are
	// none.
	workers func() ([]int, error)
	redis   *rig.Process // counted apart; nil where there is none
	config  string       // command line and files, for the page
	close   func()
}

// speech is what the clients have to know of a server's texts. Each text with
// a number in it is a message, whatever is around it.
type speech struct {
	hello  string // sent by the client once it is open
	joined string // what the text begins with that confirms the subscription; "": the handshake's answer does
	ping   string // a text that is answered by itself
	lines  bool   // a text may hold several, one a line
}

// pids returns all processes of the server.
func (r *running) pids() ([]int, error) {
	pids := []int{r.PID()}
	if r.workers == nil {
		return pids, nil
	}
	more, err := r.workers()
	return slices.Concat(pids, more), err
}

// cpu returns the CPU time of all processes of the server.
func (r *running) cpu() (sum time.Duration, err error) {
	pids, err := r.pids()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		used, err := rig.CPU(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
