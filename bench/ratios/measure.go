package ratios

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// figures are one server's of one round.
type figures struct {
	handshake float64 // us of CPU each
	delivery  float64 // us of CPU to one client, one message at a time
	fullRate  float64 // the same, all messages at once
	last      float64 // ms until the last client has a message, one at a time
	ping      float64 // us of CPU per ping and pong
	growth    float64 // bytes of RSS per connection
	delivered int     // messages received by the clients
	batched   float64 // share of those one at a time that went through io_uring
}

// byRing reports whether practically all deliveries went through io_uring.
func (f *figures) byRing() bool { return f.batched > 0.9 }

// round has the bare loop, the gateway that writes to each client by a call of
// its own, of which only handshake and deliveries are measured, and the gateway
// as it comes, measured one after the other. Of a run over TLS it has the latter
// two in the clear and over TLS.
type round struct{ bare, write, gateway, secureWrite, secure figures }

// lab starts the servers.
type lab struct {
	options
	*rig.Lab
	config *tls.Config // of the clients; nil: in the clear
}

// measure builds both servers and runs the rounds.
func measure(ctx context.Context, o options, out io.Writer) ([]round, error) {
	programs, err := rig.NewLab(ctx, "cmd/gateway", "bench/bare")
	if err != nil {
		return nil, err
	}
	defer programs.Close()
	l := &lab{options: o, Lab: programs}
	rounds := make([]round, o.rounds)
	for i := range rounds {
		r := &rounds[i]
		steps := []func() error{
			func() error { return l.bare(ctx, &r.bare) },
			func() error { return l.sends(ctx, "off", &r.write) },
			func() error { return l.gateway(ctx, &r.gateway) },
		}
		if o.tls {
			secure := *l
			secure.config = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} // the gateway's certificate is its own
			steps = append(steps[1:],
				func() error { return secure.sends(ctx, "off", &r.secureWrite) },
				func() error { return secure.gateway(ctx, &r.secure) })
		}
		if i%2 == 1 { // neither always follows the other
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return nil, fmt.Errorf("round %d: %w", i+1, err)
			}
		}
		if o.tls {
			fmt.Fprintf(out, "round %d of %d: handshake %.1f and %.1f us, delivery %.2f and %.2f, by io_uring %.2f and %.2f us, memory %.0f and %.0f B\n", i+1, o.rounds,
				r.write.handshake, r.secureWrite.handshake, r.write.delivery, r.secureWrite.delivery, r.gateway.delivery, r.secure.delivery, r.gateway.growth, r.secure.growth)
			continue
		}
		fmt.Fprintf(out, "round %d of %d: handshake %.1f and %.1f us, delivery %.2f, %.2f and %.2f us, ping %.1f and %.1f us\n", i+1, o.rounds,
			r.bare.handshake, r.gateway.handshake, r.bare.delivery, r.write.delivery, r.gateway.delivery, r.bare.ping, r.gateway.ping)
	}
	return rounds, nil
}

// target is the server under measurement with its clients.
type target struct {
	options
	*rig.Process
	clients *client.Clients
	figures *figures
	send    func(n int) error       // has the server send so many messages to each client
	batched func() (float64, error) // sends through io_uring so far
}

// lag keeps the clients' loop asleep outside of epoll. Awake, it was woken
// more often by the bare loop, which leaves a CPU to the clients: that took 0.1
// off the delivery's ratio.
const lag = 500 * time.Microsecond

// with runs fn with clients of a server.
func (l *lab) with(p *rig.Process, remote netip.AddrPort, speech client.Speech, f *figures, fn func(*target) error) error {
	c, err := client.New(client.Options{
		Remote: remote, TLS: l.config, Clients: l.most(), InFlight: l.inFlight, Request: client.Same(client.WebSocketRequest(path, remote)),
		Lag: lag, Messages: 2 * l.messages, Strict: true, Speech: speech,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	t := &target{options: l.options, Process: p, clients: c, figures: f}
	if err := fn(t); err != nil {
		return fmt.Errorf("%s: %w; its log:\n%s", p.Name, err, p.Log())
	}
	return nil
}

// micros is the server's CPU time since begin, in microseconds.
func (t *target) micros(begin time.Duration) float64 { return float64(t.CPU()-begin) / 1e3 }

// handshakes connects the clients and sets the handshake's figure.
func (t *target) handshakes(ctx context.Context) error {
	begin := t.CPU()
	err := t.clients.Connect(ctx, t.connections)
	t.figures.handshake = t.micros(begin) / float64(t.connections)
	return err
}

// deliveries sets the delivery's figures.
func (t *target) deliveries(ctx context.Context) error {
	f, c, want := t.figures, t.clients, 0
	deliver := func(n int) (time.Duration, error) {
		want += n * t.connections
		start := time.Now()
		if err := t.send(n); err != nil {
			return 0, err
		}
		// The condition runs on the loop, after want was set for good.
		at, err := c.Wait(ctx, fmt.Sprintf("%d messages", want), func() bool { return c.Received >= want })
		return at.Sub(start), err
	}
	each := float64(t.messages * t.connections)
	earlier, err := t.batched()
	if err != nil {
		return err
	}
	var waits []float64
	begin := t.CPU()
	for range t.messages {
		took, err := deliver(1)
		if err != nil {
			return err
		}
		waits = append(waits, float64(took)/1e6)
	}
	f.delivery, f.last = t.micros(begin)/each, rig.Median(waits)
	batched, err := t.batched()
	if err != nil {
		return err
	}
	f.batched = (batched - earlier) / each
	begin = t.CPU()
	_, err = deliver(t.messages)
	f.fullRate, f.delivered = t.micros(begin)/each, want
	return err
}

// growth sets the figure of memory per connection.
func (t *target) growth(ctx context.Context) error {
	var rss [2]float64
	for i, n := range []int{t.low, t.high} {
		err := t.clients.Connect(ctx, n)
		if err == nil {
			// The collector and the runtime's return of pages are still at work.
			rss[i], err = rig.Steady(ctx, 10, t.RSS)
		}
		if err != nil {
			return err
		}
	}
	t.figures.growth = (rss[1] - rss[0]) / float64(t.high-t.low)
	return nil
}
