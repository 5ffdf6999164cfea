package million

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/probe"
	"github.com/pushgate/pushgate/internal/reactor"
)

// messages is how many the course publishes, numbered from 0.
const messages = 3

// course is a run under way.
type course struct {
	// Immutable
	o       options
	gateway *gateway
	clients *client.Clients
	kernel  *probe.Kernel
	out     io.Writer
	start   time.Time

	// Owned by the goroutine of runCourse
	res      *result
	step     string
	sampled  time.Time
	reported time.Time
	last     probe.Metrics // the gateway's metrics at the end of the step before
}

// runCourse runs all steps on this box and writes the result, also that of a
// run which failed on the way.
func runCourse(ctx context.Context, o options, out io.Writer) error {
	o = o.withDefaults()
	if _, _, err := reactor.RaiseDescriptorLimit(); err != nil {
		return err
	}
	g, err := startGateway(ctx, o)
	if err != nil {
		return err
	}
	defer g.close()
	c, err := newClients(g.target, o)
	if err != nil {
		return err
	}
	defer c.Close()
	kernel, err := probe.WatchKernel(0)
	if err != nil {
		return err
	}
	r := &course{o: o, gateway: g, clients: c, kernel: kernel, out: out, start: time.Now(), res: &result{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: rig.ThisMachine(), Emulated: o.emulated,
		Clients: o.clients, Personal: o.personal, TLS: o.tls, Leavers: o.leavers(), Interval: o.interval.Seconds(),
		Command: strings.Join(os.Args, " "), Gateway: g.args,
	}}
	failed := r.run(ctx)
	c.Do(func() { r.res.Counts = c.Counts })
	failed = errors.Join(failed, r.check())
	r.res.Failed = nil
	if failed != nil {
		r.res.Failed = strings.Split(failed.Error(), "\n")
	}
	r.res.Points = thin(r.res.Points)
	return errors.Join(failed, r.res.write(o.result))
}

// newClients prepares the clients, every hundredth with a second channel.
func newClients(remote netip.AddrPort, o options) (*client.Clients, error) {
	speech := client.Gateway()
	speech.Number = `"data":{"number":`
	speech.Subscriptions = func(slot uint32) uint8 {
		if slot%fewStep == 0 {
			return 2
		}
		return 1
	}
	var secure *tls.Config
	if o.tls {
		secure = &tls.Config{
			InsecureSkipVerify: true, // the gateway has made its certificate itself
			NextProtos:         []string{"http/1.1"},
			CurvePreferences:   []tls.CurveID{tls.X25519}, // spares an emulated machine ML-KEM
		}
	}
	return client.New(client.Options{
		Remote: remote, TLS: secure, Clients: o.clients, InFlight: o.inFlight, AtOnce: true, Messages: messages, Speech: speech,
		Request: func(slot uint32) []byte {
			path := "/v1/ws?channels=" + everyone
			if o.personal {
				path = "/v1/ws?channels=" + personal(int(slot))
			}
			if slot%fewStep == 0 {
				path += "," + few
			}
			return client.WebSocketRequest(path, remote)
		},
	})
}

func (r *course) run(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"before", r.before},
		{"connect", r.connect},
		{"hold", r.hold},
		{"everyone", r.everyone},
		{"few", func(ctx context.Context) error { return r.message(ctx, 1, r.o.few(), []string{few}) }},
		{"return", r.comeBack},
		{"after", func(ctx context.Context) error { return r.message(ctx, 2, r.o.few(), []string{few}) }},
		{"drain", r.drain},
	} {
		r.step = s.name
		r.say("%s", "begins")
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.res.Failed = []string{"the run was stopped after the step " + s.name}
		if err := r.res.write(r.o.result); err != nil {
			return err
		}
	}
	return nil
}

// say prints a line of the run's log.
func (r *course) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%7.1f s  %-8s  %s\n", time.Since(r.start).Seconds(), r.step, fmt.Sprintf(format, args...))
}

// check lists the promises that were not kept.
func (r *course) check() error {
	var wrong []error
	res := r.res
	expect := func(what string, got, want int) {
		if got != want {
			wrong = append(wrong, fmt.Errorf("%s: %d, want %d", what, got, want))
		}
	}
	expect("clients connected", res.Connect.Reached, res.Clients)
	expect("messages published", len(res.Messages), messages)
	for i, m := range res.Messages {
		expect(fmt.Sprintf("deliveries of message %d", i+1), m.Reached, m.Goal)
	}
	expect("clients that came back", res.Return.Reached, res.Leavers)
	expect("clients that saw bye and 1012", res.Drain.Reached, res.Clients)
	expect("messages delivered twice", res.Counts.Doubled, 0)
	expect("gaps", res.Counts.Gaps, 0)
	expect("connections that broke", res.Counts.Broken, 0)
	if res.Counts.Why != "" {
		wrong = append(wrong, errors.New(res.Counts.Why))
	}
	if !res.Drain.Clean {
		wrong = append(wrong, errors.New("the gateway did not exit with 0"))
	}
	return errors.Join(wrong...)
}
