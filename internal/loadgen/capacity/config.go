// Package capacity finds the load that a gateway on this host can carry, and
// the cost of a larger number of clients.
//
// It runs the load engine in steps: connections first, each step against a
// fresh gateway where it can start one, then deliveries. Each step is judged by
// the SLOs; where they break, it halves the way to the last good step. Straight
// lines through the steps give the costs of a connection, of a heartbeat and of
// a delivery with the quality of the fit, and these the bill for the target:
// measured or extrapolated, and how far, and the limit that is hit first.
package capacity

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/preflight"
)

// Config is the question; the comments name the flags. Start from
// DefaultConfig.
type Config struct {
	// Run holds the clients, the target, Redis, and with ServerCmd the gateway
	// to start. Its number of connections and messages are the steps' own.
	Run plan.Config

	Target int // --target: the connections to write the bill for
	// The steps.
	Most        int           // --max-connections of a step; 0: 10,000, or fewer if this process may open fewer
	Steps       int           // --steps of connections
	Hold        time.Duration // --hold: how long a step of connections lasts
	Subscribers int           // --subscribers of the steps of deliveries
	Publish     time.Duration // --publish: how long a step of deliveries lasts
	MostRate    float64       // --max-deliveries per second
	Verify      int           // --verify: measure so many connections as well, and compare; 0: don't
	Warmup      int           // --warmup: handshakes before each step of connections
	Beat        time.Duration // --test-heartbeat of a gateway that is started; 0: its own
	// The load of the bill.
	Heartbeat time.Duration // --heartbeat
	Every     time.Duration // --message-every: each client gets a message so often

	SLOs    []result.SLO
	Command []string

	cpus, portsEach int
}

// DefaultConfig returns the flags' defaults.
func DefaultConfig() Config {
	c := Config{
		Run:         plan.DefaultConfig(),
		Target:      1_000_000,
		Steps:       6,
		Hold:        6 * time.Second,
		Subscribers: 2000,
		Publish:     5 * time.Second,
		MostRate:    200_000,
		Warmup:      10_000,
		Beat:        2 * time.Second,
		Heartbeat:   25 * time.Second,
		Every:       time.Minute,
	}
	c.Run.InFlight = 200
	return c
}

// mostSteps bounds a run that would take hours.
const mostSteps = 50

// maxTarget is more than one box can have, and no trouble for the arithmetic.
const maxTarget = 100_000_000

// Validate checks all that needs no look at the host; errors.Join of a
// *plan.UsageError for each flag that is wrong.
func (c Config) Validate() error {
	var all []error
	for _, x := range []struct {
		flag    string
		value   any
		allowed bool
		want    string
	}{
		{"--target", c.Target, within(c.Target, 1, maxTarget), "1 to 100000000"},
		{"--max-connections", c.Most, within(c.Most, 0, maxTarget), "1 to 100000000, or 0 for what fits"},
		{"--steps", c.Steps, within(c.Steps, fewPoints, mostSteps), "3 to 50"},
		{"--subscribers", c.Subscribers, within(c.Subscribers, 1, maxTarget), "1 to 100000000"},
		{"--max-deliveries", c.MostRate, within(c.MostRate, 1, 1e9), "1 to 1e9 a second"},
		{"--verify", c.Verify, within(c.Verify, 0, maxTarget), "1 to 100000000, or 0 for none"},
		{"--warmup", c.Warmup, within(c.Warmup, 0, maxTarget), "0 to 100000000"},
		{"--hold", c.Hold, within(c.Hold, time.Second, time.Hour), "1s to 1h"},
		{"--publish", c.Publish, within(c.Publish, time.Second, time.Hour), "1s to 1h"},
		{"--heartbeat", c.Heartbeat, within(c.Heartbeat, 100*time.Millisecond, 24*time.Hour), "100ms to 24h"},
		{"--message-every", c.Every, within(c.Every, time.Millisecond, 30*24*time.Hour), "1ms to 720h"},
		{"--test-heartbeat", c.Beat, c.Beat == 0 || within(c.Beat, 100*time.Millisecond, time.Hour), "100ms to 1h, or 0 for the gateway's own"},
	} {
		if !x.allowed {
			all = append(all, &plan.UsageError{Flag: x.flag, Value: fmt.Sprint(x.value), Want: "not allowed, want " + x.want})
		}
	}
	return errors.Join(append(all, c.Run.Validate())...)
}

// secure reports whether the target speaks TLS.
func (c Config) secure() bool {
	u, err := url.Parse(c.Run.URL)
	return err == nil && (u.Scheme == "wss" || u.Scheme == "https")
}

func within[T cmp.Ordered](v, low, high T) bool { return v >= low && v <= high }

// usualMost is how many connections the largest step has by default: enough
// for a straight line, few enough for any host.
const usualMost = 10_000

// fill completes the Config from the host.
func (c *Config) fill(env preflight.Env) {
	if c.Most == 0 {
		c.Most = min(usualMost, c.Target)
		if _, hard, err := env.Descriptors(); err == nil {
			c.Most = min(c.Most, max(int(min(hard, usualMost*2))-2*preflight.DescriptorReserve, c.Steps))
		}
	}
	c.Subscribers = min(c.Subscribers, c.Most)
	c.cpus = runtime.NumCPU()
	c.portsEach = env.LocalPorts()
}

// checkFit refuses steps that this process can't hold, before the first.
func (c Config) checkFit(env preflight.Env) error {
	_, hard, err := env.Descriptors()
	if err != nil {
		return nil // the steps will tell
	}
	var all []error
	most := int(min(hard, maxTarget)) - plan.SpareDescriptors
	for _, x := range []struct {
		flag string
		n    int
	}{{"--max-connections", c.Most}, {"--subscribers", c.Subscribers}, {"--verify", c.Verify}} {
		if x.n > most {
			all = append(all, &plan.UsageError{Flag: x.flag, Value: fmt.Sprint(x.n), Want: fmt.Sprintf(
				"needs %d descriptors in this process, which may open %d: raise the hard limit (ulimit -Hn, LimitNOFILE=), or ask for at most %d", x.n+plan.SpareDescriptors, hard, max(most, 0))})
		}
	}
	return errors.Join(all...)
}

// defaultSLOs are the limits that hold where none are asked for.
var defaultSLOs = []string{"failed==0", "lost==0", "missing==0", "delivery.p99<1s"}
