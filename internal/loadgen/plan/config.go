package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// Config holds a run's settings; the comments name the flags. The zero
// value is not usable: start from DefaultConfig.
type Config struct {
	// The clients.
	URL         string        // --url
	Transport   Transport     // --transport
	Connections int           // -n
	InFlight    int           // -c: handshakes at the same time
	ConnectRate float64       // --connect-rate, per second; 0 is as fast as -c lets
	Sources     string        // --src; empty: the kernel's choice, or 127.0.0.x for a loopback target
	Channels    string        // --channels
	Loops       int           // --loops
	Timeout     time.Duration // --timeout: of a handshake, and of waiting while nothing arrives
	AllowRemote bool          // --allow-remote
	CA          string        // --ca: a file of authorities in PEM, instead of the host's
	Insecure    bool          // --insecure: certificates are not checked
	Headers     []string      // --header: "Name: value", in every request
	Origin      string        // --origin
	Subprotocol string        // --subprotocol: offered by WebSockets, comma separated
	Stages      string        // --stages; Connections, ConnectRate and Hold follow from it

	// Clients that move or are slow.
	Share       float64       // --share: the part of the clients that is cut or churned
	Backoff     time.Duration // --backoff: longest wait before a reconnect, doubled with each failure
	BackoffMost time.Duration // --backoff-max
	Resume      bool          // --resume: reconnect with the position of the last message
	SlowShare   float64       // --slow-share
	SlowRead    int           // --slow-read, bytes per second that a slow client reads

	// The events of a run, and their times.
	Before       time.Duration // --before: steady time before the storm
	After        time.Duration // --after: steady time once all are back
	GiveUp       time.Duration // --give-up: of the storm
	ServerCmd    string        // --server-cmd: starts the gateway; restarting it is the storm
	ServerSignal string        // --server-signal: TERM, INT or KILL
	ChurnRate    float64       // --churn-rate, cycles per second
	Duration     time.Duration // --duration, of each phase with messages

	Timed bool // messages are sent for a time and not by number

	// Processes that hold the clients in this one's stead.
	Agents        int      // --agents: on this host
	AgentCommands []string // --agent: elsewhere, a command for each

	// One process of several: it holds the clients Member, Member+Members, ...
	Member, Members int
	KeyData, CAData []byte `json:"-"` // of --jwt-key and --ca, once they were read, maybe by another process

	AgentPatience time.Duration // how long an agent may take to answer; 0: 30 s

	// The clients' tokens.
	JWTKey      string // --jwt-key: a file; empty: no tokens
	JWTIssuer   string // --jwt-issuer
	JWTAudience string // --jwt-audience

	// A server that is none of ours; Foreign follows from the others.
	Foreign        bool     // --foreign
	Hello          []string // --hello: a client's messages after the handshake
	PublishURL     string   // --publish-url: takes messages by POST
	PublishHeaders []string // --publish-header
	PublishBody    string   // --publish-body; empty: the message
	PublishCmd     string   // --publish-cmd: publishes

	// The server.
	PID   int    // --pid; 0: found by the target's port, where it is on this host
	Admin string // --admin: its admin listener; empty: no metrics

	// Idle.
	Hold time.Duration // --hold

	// Fanout.
	Redis    string        // --redis
	Prefix   string        // --prefix
	Durable  bool          // --durable
	Messages int           // --messages
	Rate     float64       // --rate, messages per second; 0: each when the one before was delivered
	Size     int           // --size, bytes of a payload
	Settle   time.Duration // how long to look for duplicates after the last delivery
	MaxLate  time.Duration // a slot that is later than this is skipped
}

// DefaultConfig returns the flags' defaults.
func DefaultConfig() Config {
	return Config{
		URL:         "ws://127.0.0.1:8080",
		Transport:   WebSocket,
		Connections: 1000,
		InFlight:    100,
		Channels:    "loadgen",
		Loops:       1,
		Timeout:     30 * time.Second,
		Hold:        10 * time.Second,
		Redis:       "redis://127.0.0.1:6380",
		Prefix:      "push:",
		Messages:    100,
		Size:        128,
		Settle:      250 * time.Millisecond,
		MaxLate:     5 * time.Second,

		Backoff:      100 * time.Millisecond,
		BackoffMost:  5 * time.Second,
		Before:       2 * time.Second,
		After:        time.Second,
		GiveUp:       time.Minute,
		ServerSignal: "TERM",
		Duration:     10 * time.Second,
	}
}

// UsageError is a run that can't be as asked: it is refused before it starts.
type UsageError struct {
	Flag  string // with its dashes
	Value string
	Want  string // the change to make
}

func (e *UsageError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Flag, e.Want)
	}
	return fmt.Sprintf("%s %s: %s", e.Flag, e.Value, e.Want)
}

// Problems collects everything that is wrong with a Config.
type Problems []error

func (u *Problems) Add(flag string, value any, format string, args ...any) {
	*u = append(*u, &UsageError{Flag: flag, Value: fmt.Sprint(value), Want: fmt.Sprintf(format, args...)})
}

// inRange refuses a value outside.
func inRange[T cmp.Ordered](u *Problems, flag string, v, low, high T) {
	if v < low || v > high {
		u.Add(flag, v, "not allowed, want %v to %v", low, high)
	}
}

func (u *Problems) rate(flag string, v float64) {
	if v < 0 || v > 1e7 || math.IsNaN(v) {
		u.Add(flag, v, "not allowed, want 0 to 10000000 a second")
	}
}

func (u *Problems) share(flag string, v float64) {
	if !(v >= 0 && v <= 1) {
		u.Add(flag, v, "not allowed, want 0 to 1")
	}
}

const (
	maxConnections = 1 << 24
	maxSize        = 1 << 20
	maxMessages    = 1 << 30
)

// Validate checks all that needs no look at the host; errors.Join of a UsageError
// for each flag that is wrong.
func (c Config) Validate() error {
	var u Problems
	if _, err := c.Transport.shares(); err != nil {
		u.Add("--transport", c.Transport, "%v", err)
	}
	inRange(&u, "-n", c.Connections, 1, maxConnections)
	inRange(&u, "-c", c.InFlight, 1, 1<<16)
	u.rate("--connect-rate", c.ConnectRate)
	inRange(&u, "--agents", c.Agents, 0, 1024)
	inRange(&u, "--loops", c.Loops, 1, 64)
	inRange(&u, "--timeout", c.Timeout, 100*time.Millisecond, time.Hour)
	inRange(&u, "--hold", c.Hold, 0, 30*24*time.Hour)
	inRange(&u, "--messages", c.Messages, 1, maxMessages)
	u.rate("--rate", c.Rate)
	inRange(&u, "--size", c.Size, account.MinPayload, maxSize)
	u.share("--share", c.Share)
	u.share("--slow-share", c.SlowShare)
	inRange(&u, "--slow-read", c.SlowRead, 0, 1<<30)
	u.rate("--churn-rate", c.ChurnRate)
	inRange(&u, "--backoff", c.Backoff, 0, time.Hour)
	inRange(&u, "--backoff-max", c.BackoffMost, 0, time.Hour)
	inRange(&u, "--before", c.Before, 0, time.Hour)
	inRange(&u, "--after", c.After, 0, time.Hour)
	inRange(&u, "--give-up", c.GiveUp, 100*time.Millisecond, 24*time.Hour)
	inRange(&u, "--duration", c.Duration, 10*time.Millisecond, 30*24*time.Hour)
	if _, ok := StopSignals[c.ServerSignal]; !ok {
		u.Add("--server-signal", c.ServerSignal, "not allowed, want TERM, INT or KILL")
	}
	c.checkForeign(&u)
	if c.PID < 0 {
		u.Add("--pid", c.PID, "not a process")
	}
	if strings.ContainsAny(c.Prefix, " \r\n") {
		u.Add("--prefix", fmt.Sprintf("%q", c.Prefix), "blanks are not allowed")
	}
	return errors.Join(u...)
}

// StopSignals are the ways to stop it.
var StopSignals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
