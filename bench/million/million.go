// Package million holds a million idle WebSocket clients on one gateway process
// and writes down the cost.
//
// The clients are one event loop in a process of its own, over many source
// addresses. Every client is subscribed to one channel, every hundredth to a
// second one. The course of a run:
//
//	connect     all clients, each done when its subscriptions are confirmed
//	hold        nothing but heartbeats
//	everyone    a message to all clients
//	few         a message to the second channel
//	return      10,000 clients (a tenth of fewer than 100,000) hang up and come
//	            back at once, and a message to the second channel reaches them
//	drain       SIGTERM; every client has to see its bye and close code 1012
//
// Where the limits or the memory of this box fall short, or with -guest, the
// same runs in an emulated Linux of its own, see bench/guest/guest.sh. The
// result is written as JSON and rendered to a page with charts.
//
//	bench million [flags]             run and render
//	bench million course [flags]      run on this box, write the JSON and nothing else
//	bench million render -docs docs   render the results that are kept there anew
package million

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Run runs the course, its page, or both.
func Run(ctx context.Context, args []string, out io.Writer) error {
	verb := ""
	if len(args) > 0 && (args[0] == "course" || args[0] == "render") {
		verb, args = args[0], args[1:]
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	switch verb {
	case "course":
		return runCourse(ctx, o, out)
	case "render":
		return renderPage(o.docs)
	}
	short := shortOf(o)
	inGuest := o.guest || len(short) > 0
	if o.where {
		_, err := fmt.Fprintln(out, map[bool]string{false: "here", true: "guest"}[inGuest])
		return err
	}
	for _, s := range short {
		fmt.Fprintln(out, "this box falls short:", s)
	}
	return runAndRender(ctx, o, inGuest, out)
}

// runAndRender runs the course here or in a guest, and renders its result even
// when the run failed its own checks.
func runAndRender(ctx context.Context, o options, inGuest bool, out io.Writer) error {
	file, err := os.CreateTemp("", "million-*.json")
	if err != nil {
		return err
	}
	file.Close()
	defer os.Remove(file.Name())
	o.result = file.Name()
	run := runCourse
	if inGuest {
		run = runInGuest
	}
	failed := run(ctx, o, out)
	res, err := readResult(o.result)
	if err == nil {
		err = res.keep(o.docs)
	}
	if err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, renderPage(o.docs))
}

// decisive are the limits that no run gets around; the others make it slower
// or matter to servers that run for long.
var decisive = []string{
	"fs.nr_open", "fs.file-max", "RLIMIT_NOFILE hard", "RLIMIT_NOFILE soft", "fs.epoll.max_user_watches",
	"net.ipv4.tcp_mem", "net.ipv4.ip_local_port_range", "net.netfilter.nf_conntrack_max",
	"MemAvailable", "cgroup memory limit",
}

// tlsBytes is the memory that TLS takes for each connection, in the gateway and in the clients.
const tlsBytes = 160 + 120

// shortOf lists the limits that keep both ends of all connections from fitting
// here.
func shortOf(o options) (short []string) {
	reactor.RaiseDescriptorLimit() // a limit that stays too low is found below
	target := preflight.Target{Connections: o.clients, Side: preflight.Both, SourceAddresses: client.Sources(o.clients)}
	if o.tls {
		target.UserBytes = preflight.DefaultUserBytes + tlsBytes
	}
	report := preflight.Run(preflight.Host(), target)
	for _, f := range report.Fixes() {
		if slices.Contains(decisive, f.Name) {
			short = append(short, fmt.Sprintf("%s is %s, needed is %s", f.Name, f.Value, f.Needed))
		}
	}
	return short
}
