package capacity

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/preflight"
)

// Config is what to find out; the comments name the flags. Start from
// DefaultConfig.
type Config struct {
	// Run holds the clients, the target, Redis, and with ServerCmd the gateway
	// to start. Its number of connections and messages are the steps' own.
	Run loadgen.Config

	Target int // --target: the connections to write the bill for
	// The steps.
	Most        int           // --max-connections of a step; 0: 10,000 or what this process may open
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

	SLOs    []loadgen.SLO
	Command []string

	cpus, portsEach int
}

// DefaultConfig returns what the flags' defaults are.
func DefaultConfig() Config {
	c := Config{
		Run:         loadgen.DefaultConfig(),
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

// maxTarget is above what one box can have and below what the arithmetic takes.
const maxTarget = 100_000_000

// Validate checks what needs no look at the host; errors.Join of a
// *loadgen.UsageError for each flag that is wrong.
func (c Config) Validate() error {
	var all []error
	wrong := func(flag string, value any, format string, args ...any) {
		all = append(all, &loadgen.UsageError{Flag: flag, Value: fmt.Sprint(value), Want: fmt.Sprintf(format, args...)})
	}
	if c.Target < 1 || c.Target > maxTarget {
		wrong("--target", c.Target, "not allowed, want 1 to %d", maxTarget)
	}
	if c.Most < 0 || c.Most > maxTarget {
		wrong("--max-connections", c.Most, "not allowed, want 1 to %d, or 0 for what fits", maxTarget)
	}
	if c.Steps < fewPoints || c.Steps > mostSteps {
		wrong("--steps", c.Steps, "not allowed, want %d to %d", fewPoints, mostSteps)
	}
	if c.Subscribers < 1 || c.Subscribers > maxTarget {
		wrong("--subscribers", c.Subscribers, "not allowed, want 1 to %d", maxTarget)
	}
	if !(c.MostRate >= 1 && c.MostRate <= 1e9) {
		wrong("--max-deliveries", c.MostRate, "not allowed, want 1 to 1e9 a second")
	}
	if c.Verify < 0 || c.Verify > maxTarget {
		wrong("--verify", c.Verify, "not allowed, want 1 to %d, or 0 for none", maxTarget)
	}
	if c.Warmup < 0 || c.Warmup > maxTarget {
		wrong("--warmup", c.Warmup, "not allowed, want 0 to %d", maxTarget)
	}
	for _, d := range []struct {
		flag      string
		v         time.Duration
		low, high time.Duration
	}{
		{"--hold", c.Hold, time.Second, time.Hour},
		{"--publish", c.Publish, time.Second, time.Hour},
		{"--heartbeat", c.Heartbeat, 100 * time.Millisecond, 24 * time.Hour},
		{"--message-every", c.Every, time.Millisecond, 30 * 24 * time.Hour},
	} {
		if d.v < d.low || d.v > d.high {
			wrong(d.flag, d.v, "not allowed, want %v to %v", d.low, d.high)
		}
	}
	if c.Beat != 0 && (c.Beat < 100*time.Millisecond || c.Beat > time.Hour) {
		wrong("--test-heartbeat", c.Beat, "not allowed, want 100ms to 1h, or 0 for the gateway's own")
	}
	return errors.Join(append(all, c.Run.Validate())...)
}

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
	c.portsEach = localPorts()
}

// checkFit refuses steps that this process can't hold, before the first.
func (c Config) checkFit(env preflight.Env) error {
	_, hard, err := env.Descriptors()
	if err != nil {
		return nil // the steps will tell
	}
	var all []error
	most := int(min(hard, maxTarget)) - loadgen.SpareDescriptors
	for _, x := range []struct {
		flag string
		n    int
	}{{"--max-connections", c.Most}, {"--subscribers", c.Subscribers}, {"--verify", c.Verify}} {
		if x.n > most {
			all = append(all, &loadgen.UsageError{Flag: x.flag, Value: fmt.Sprint(x.n), Want: fmt.Sprintf(
				"needs %d descriptors in this process, which may open %d: raise the hard limit (ulimit -Hn, LimitNOFILE=), or ask for at most %d", x.n+loadgen.SpareDescriptors, hard, max(most, 0))})
		}
	}
	return errors.Join(all...)
}

// localPorts returns how many ports a source address has here; 0 when that
// can't be read.
func localPorts() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text))
	if len(f) != 2 {
		return 0
	}
	low, err1 := strconv.Atoi(f[0])
	high, err2 := strconv.Atoi(f[1])
	if err1 != nil || err2 != nil || high < low {
		return 0
	}
	return high - low + 1
}

// ends is how many ends of each connection are on this host: kernel memory is
// measured on loopback only.
func (c Config) ends() float64 { return 2 }

// defaultSLOs are what a step is judged by when nobody says.
var defaultSLOs = []string{"failed==0", "lost==0", "missing==0", "delivery.p99<1s"}

// DefaultSLOs returns the limits that hold where none are asked for.
func DefaultSLOs() []loadgen.SLO {
	all, err := loadgen.ParseSLOs(defaultSLOs)
	if err != nil {
		panic(err) // a figure was renamed: every test of this package fails
	}
	return all
}
