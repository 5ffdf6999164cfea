package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/internal/probe"
)

// figures are one server's of one round. Times are in seconds, memory
// in bytes.
type figures struct {
	Connect    float64 `json:"connect"`     // until all clients were subscribed
	ConnectCPU float64 `json:"connect_cpu"` // meanwhile
	Before     int64   `json:"before"`      // memory before the first client
	With       int64   `json:"with"`        // and with all of them
	// The kernel's memory at the same times, of the whole machine; 0 in results from before it was read.
	KernelBefore int64 `json:"kernel_before,omitempty"`
	KernelWith   int64 `json:"kernel_with,omitempty"`

	Hold       float64       `json:"hold"`
	HoldCPU    float64       `json:"hold_cpu"`
	Pings      int           `json:"pings"` // in the hold
	DeliverCPU float64       `json:"deliver_cpu"`
	RedisCPU   float64       `json:"redis_cpu,omitempty"` // meanwhile, of redis-server
	Last       []float64     `json:"last"`                // by message: until the last client had it
	Deliveries int           `json:"deliveries"`
	Counts     client.Counts `json:"counts"`
	Failed     string        `json:"failed,omitempty"` // why there is no more
}

// measure runs all rounds and keeps their results.
func measure(ctx context.Context, o options, out io.Writer) error {
	var chosen []server
	for _, s := range o.servers {
		if err := s.missing(); err != nil {
			fmt.Fprintf(out, "%s is left out: %v\n", s.name, err)
			continue
		}
		chosen = append(chosen, s)
	}
	for _, t := range o.transports {
		some := serversOf(t, chosen)
		if len(some) == 0 {
			continue
		}
		for _, n := range o.countsFor(t) {
			r, err := measureAll(ctx, o, some, t, n, out)
			if err == nil {
				err = page.Keep(filepath.Join(o.docs, "benchmarks"), fmt.Sprintf("%s-%d", t, n), r)
			}
			if err != nil {
				return err
			}
			if t == secureTransport {
				fmt.Fprintln(out, r.Budget())
			}
		}
	}
	return nil
}

// measureAll runs the rounds of one transport and number of connections.
func measureAll(ctx context.Context, o options, chosen []server, t transport, n int, out io.Writer) (*result, error) {
	r := newResult(o, t, n)
	var order []int
	for i, s := range chosen {
		order = append(order, i)
		r.Servers = append(r.Servers, measured{Name: s.name})
	}
	for round := range o.rounds {
		for _, i := range order {
			s := chosen[i]
			f, config, err := measureOne(ctx, o, s, t, n)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				f.Failed = err.Error()
			}
			m := &r.Servers[i]
			if config != "" {
				m.Config = config
			}
			m.Rounds = append(m.Rounds, f)
			fmt.Fprintf(out, "%s %5d, round %d: %s\n", t, n, round+1, m.line())
		}
		slices.Reverse(order) // nobody always follows the same one
	}
	return r, nil
}

// measureOne starts a server and takes it through everything.
func measureOne(ctx context.Context, o options, s server, t transport, n int) (f figures, config string, err error) {
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return f, "", err
	}
	defer os.RemoveAll(dir)
	r, err := start(ctx, s, setting{options: o, server: s.name, transport: t, connections: n, dir: dir})
	if err != nil {
		return f, "", err
	}
	defer r.close()
	kernel, err := probe.WatchKernel(0)
	if err != nil {
		return f, r.config, err
	}
	c, err := newClients(r, o, t, n)
	if err != nil {
		return f, r.config, err
	}
	defer c.Close()
	err = (&course{options: o, server: r, kernel: kernel, connections: n, clients: c, figures: &f}).run(ctx)
	if err != nil {
		err = fmt.Errorf("%w; the log of %s:\n%s", err, s.name, r.logs())
	}
	return f, r.config, err
}

// start starts a server, with a certificate where it needs one.
func start(ctx context.Context, s server, to setting) (*running, error) {
	if to.transport != secureTransport {
		return s.start(ctx, to)
	}
	pool, err := writeCertificate(to.dir)
	if err != nil {
		return nil, err
	}
	r, err := s.start(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := r.checkTLS(ctx, pool); err != nil {
		r.close()
		return nil, fmt.Errorf("%w; the log of %s:\n%s", err, s.name, r.logs())
	}
	return r, nil
}

// newClients returns the clients of a server.
func newClients(r *running, o options, t transport, n int) (*client.Clients, error) {
	with := client.Options{
		Remote: r.listen, Clients: n, InFlight: o.inFlight, Request: client.Same(client.WebSocketRequest(r.path, r.listen)),
		Lag: 500 * time.Microsecond, Messages: warmUp + o.messagesFor(n), Speech: r.speech,
	}
	switch t {
	case eventsTransport:
		with.Speech.Events = true
		with.Request = client.Same(client.EventsRequest(r.path, r.listen))
	case secureTransport:
		with.TLS = clientTLS()
	}
	return client.New(with)
}
