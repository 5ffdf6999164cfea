package capacity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
	"github.com/pushgate/pushgate/internal/units"
)

// steps make the measurements for run.
type steps interface {
	// connections holds so many clients.
	connections(ctx context.Context, n int) (Step, error)
	// deliveries publishes so many messages per second to the subscribers.
	deliveries(ctx context.Context, rate float64) (Step, error)
	// describe completes the outcome with the server and the host.
	describe(*Outcome)
	// close ends the server that deliveries left running.
	close()
}

// bench runs the steps for real.
type bench struct {
	config Config
	say    func(string)

	server string
	host   probe.Host
	stop   func() // of the gateway for deliveries; nil: none is running
}

func (b *bench) describe(o *Outcome) {
	o.Server, o.Host = b.server, b.host
	if cmd := b.config.Run.ServerCmd; cmd != "" {
		o.Server = cmd
	}
}

// launch starts the server where there is a command for it. A gateway's
// heartbeat is made short by the environment, so that flags of the command still
// rule.
func (b *bench) launch(ctx context.Context) (stop func(), err error) {
	c := b.config.Run
	if c.ServerCmd == "" {
		return func() {}, nil
	}
	if beat := b.config.Beat; beat > 0 && !c.IsForeign() {
		c.ServerCmd = fmt.Sprintf("env GATEWAY_HEARTBEAT__INTERVAL=%v GATEWAY_HEARTBEAT__TIMEOUT=%v %s", beat, beat, c.ServerCmd)
	}
	server, err := loadgen.Launch(ctx, c)
	if err != nil {
		return nil, err
	}
	return server.Close, nil
}

// reachWait is how long the one client may take: a gateway that has nothing
// else to do is quicker.
const reachWait = 5 * time.Second

// reach has one client connect and get one message: a climb without a gateway,
// or with a Redis that is not the gateway's, would be minutes of failures and
// end in a break that is none.
func (b *bench) reach(ctx context.Context) error {
	stop, err := b.launch(ctx)
	if err != nil {
		return err
	}
	defer stop()
	c := b.config.Run
	c.Connections, c.Hold, c.Timeout = 1, 0, min(c.Timeout, reachWait)
	r, err := loadgen.Idle(ctx, c, loadgen.Options{})
	if err != nil || ctx.Err() != nil {
		return err
	}
	if r.Counters.Ready == 0 {
		return fmt.Errorf("no client gets into the server at %s: %s; start one, name it with --url, or have it started: --server-cmd 'gateway serve'",
			c.URL, strings.Join(r.Failed, "; "))
	}
	c.Messages, c.Rate = 1, 0
	r, err = loadgen.Fanout(ctx, c, loadgen.Options{})
	if err != nil || ctx.Err() != nil || r.Good() {
		return err
	}
	way := "a message through --redis does not come to a client of the gateway"
	if c.IsForeign() {
		way = "a message does not come to a client of the server"
	}
	return fmt.Errorf("%s at %s: %s", way, c.URL, strings.Join(r.Failed, "; "))
}

// warmClients connect and leave until the warm-up is done.
const warmClients = 500

// warm has a few clients connect and leave until the gateway's allocator has its working size.
// A process that has just started grows by the garbage of its first handshakes, up to its first
// garbage collection: 900 B a connection over the first 5,000 and 150 B after that, which is no
// line.
func (b *bench) warm(ctx context.Context) error {
	c := b.config.Run
	c.Connections, c.Hold = warmClients, 0
	for left := b.config.Warmup; left > 0; left -= warmClients {
		if _, err := loadgen.Idle(ctx, c, loadgen.Options{}); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) connections(ctx context.Context, n int) (Step, error) {
	stop, err := b.launch(ctx)
	if err != nil {
		return Step{}, err
	}
	defer stop()
	if err := b.warm(ctx); err != nil {
		return Step{}, err
	}
	c := b.config.Run
	c.Connections, c.Hold = n, b.config.Hold
	r, err := loadgen.Idle(ctx, c, loadgen.Options{})
	if err != nil {
		return Step{}, err
	}
	s := b.step(r)
	if r.Kernel != nil {
		if s.Kernel = whileHeld(r, "kernel.slab_bytes + kernel.tcp_memory_bytes"); s.Kernel != nil {
			*s.Kernel -= float64(r.Kernel.Before.Slab) + float64(r.Kernel.Before.TCPMemory)
		}
	}
	if h := r.Idle; h != nil && h.Seconds > 0 {
		s.Pings = float64(h.Pings) / h.Seconds
		s.ClientBound = h.Effort.Bound
	}
	b.report(s, "%d connections: RSS %s, %.1f %% CPU at %.0f pings/s", n, units.Bytes(s.RSS), s.IdleCPUs*100, s.Pings)
	return s, ctx.Err()
}

// whileHeld returns the median of a value while the clients were held; nil
// where it was not seen.
func whileHeld(r *result.Result, path string) *float64 {
	var all []float64
	for i := range r.Series {
		if v, known := result.Number(&r.Series[i], path); known && r.Series[i].Phase == result.PhaseHold {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return nil
	}
	m := median(all)
	return &m
}

func (b *bench) deliveries(ctx context.Context, rate float64) (Step, error) {
	if b.stop == nil {
		stop, err := b.launch(ctx)
		if err != nil {
			return Step{}, err
		}
		b.stop = stop
	}
	c := b.config.Run
	c.Connections, c.Rate = b.config.Subscribers, rate
	c.Messages = max(int(rate*b.config.Publish.Seconds()), 1)
	r, err := loadgen.Fanout(ctx, c, loadgen.Options{})
	if err != nil {
		return Step{}, err
	}
	s := b.step(r)
	s.Rate = rate
	if f := r.Fanout; f != nil {
		s.Latency, s.ClientBound = f.Due, f.Effort.Bound
		if f.Effort.Seconds > 0 {
			s.Delivered = float64(f.Delivered) / f.Effort.Seconds
		}
		if f.Delivered > 0 {
			s.Bytes = float64(f.Bytes) / float64(f.Delivered)
		}
	}
	s.Good = s.Good && !s.ClientBound
	b.report(s, "%.0f messages/s to each of %d: %.0f deliveries/s, p99 %s, %.0f %% CPU", rate, b.config.Subscribers,
		s.Delivered, units.Duration(time.Duration(s.Latency.P99)), s.CPUs*100)
	return s, ctx.Err()
}

func (b *bench) close() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

// step takes over the figures that all runs have.
func (b *bench) step(r *result.Result) Step {
	b.host = r.Host
	s := Step{HostBound: slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.HasPrefix(w, "HOST-BOUND") }),
		Connections: int(r.Counters.Clients), ConnectRate: r.Connect.PerSecond, Failed: r.Failed, Hint: r.Hint()}
	if v := r.Server; v != nil {
		b.server = fmt.Sprintf("%s, process %d", v.Name, v.PID)
		s.RSS, s.Anon = float64(v.After.RSS), float64(v.After.Anon)
		s.Handshake = v.CPUPerHandshake
		s.IdleCPUs, s.CPUs = v.CPUIdle/100, v.CPUPublishing
		if held := whileHeld(r, "server.rss_bytes"); held != nil {
			s.RSS = *held
		}
	}
	for _, slo := range b.config.SLOs {
		// A limit on deliveries says nothing about a step without any.
		if v := slo.Judge(r); v.Measured {
			s.SLOs = append(s.SLOs, v)
		}
	}
	s.Good = r.Good()
	for _, v := range s.SLOs {
		s.Good = s.Good && v.Met
	}
	return s
}

func (b *bench) report(s Step, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !s.Good {
		text += "; " + s.Why()
	}
	b.say(text)
}
