package million

import (
	"fmt"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// options are the command line's.
type options struct {
	clients  int
	inFlight int // handshakes under way at a time
	gateway  string
	docs     string // folder that the page is written to
	result   string // file that the course writes to
	guest    bool
	where    bool          // say where it would run
	personal bool          // a channel of its own for each client
	tls      bool          // the clients connect by TLS
	limit    time.Duration // of the guest's run

	// Slower in emulation
	interval time.Duration // of the heartbeat
	hold     time.Duration
	drain    time.Duration
	emulated bool // the course runs in the guest
}

const defaultInFlight = 256

func parse(args []string) (options, error) {
	var o options
	flags := rig.NewFlags("million")
	flags.Int(&o.clients, "n", 1_000_000, 100, 4_000_000, "`clients`")
	flags.Int(&o.inFlight, "c", defaultInFlight, 1, 4096, "`handshakes` under way at a time")
	flags.StringVar(&o.gateway, "gateway", "bin/gateway", "the gateway's `program`, static")
	flags.StringVar(&o.docs, "docs", "docs", "`folder` that MILLION.md, its charts and the result are written to")
	flags.StringVar(&o.result, "result", "million.json", "`file` that the course alone writes its result to")
	flags.BoolVar(&o.personal, "personal", false, "each client has a channel of its own in place of the one of all")
	flags.BoolVar(&o.tls, "tls", false, "the clients connect by TLS, to a certificate that the gateway makes itself")
	flags.BoolVar(&o.guest, "guest", false, "run in the guest even where this box would do")
	flags.BoolVar(&o.where, "where", false, "run nothing, but say \"here\" or \"guest\": where it would be")
	flags.Duration(&o.limit, "timeout", time.Hour, time.Minute, 1000*time.Hour, "hard limit on the guest's `time`")
	flags.DurationVar(&o.interval, "interval", 0, "the gateway's heartbeat.`interval`; default 25s, in the guest 300 us a client")
	flags.DurationVar(&o.hold, "hold", 0, "`time` of nothing but heartbeats; default: one interval, at most a minute")
	flags.DurationVar(&o.drain, "drain", 0, "the gateway's drain.`timeout`; default 10s, in the guest 300 us a client and 10s at least")
	flags.BoolVar(&o.emulated, "emulated", false, "this is the guest")
	return o, flags.Parse(args)
}

// withDefaults fills in the defaults of the place where the course runs.
func (o options) withDefaults() options {
	// Pings that take up the guest's CPUs would hold up the connects.
	var slow time.Duration
	if o.emulated {
		slow = time.Duration(o.clients) * 300 * time.Microsecond
	}
	if o.interval == 0 {
		o.interval = max(25*time.Second, slow)
	}
	if o.hold == 0 {
		o.hold = min(o.interval, time.Minute)
	}
	if o.drain == 0 {
		o.drain = max(10*time.Second, slow)
	}
	return o
}

// patience is how long nothing may happen before the run is given up.
func (o options) patience() time.Duration {
	if o.emulated {
		return 3 * time.Minute
	}
	return 30 * time.Second
}

// look is the time between two looks at how far the clients are.
func (o options) look() time.Duration {
	if o.emulated {
		return 200 * time.Millisecond
	}
	return 20 * time.Millisecond
}

// The two channels of the course; with -personal each client has a channel of
// its own in place of the first.
const (
	everyone = "everyone"
	few      = "few"
)

// personal is the channel of one client.
func personal(client int) string { return fmt.Sprintf("user.%d", client) }

// How far the clients of the second channel are apart, and those that are told
// by a message of their own.
const (
	fewStep  = 100
	toldStep = 10
)

// few is the number of clients of the second channel, and leavers the number
// of those that hang up and come back.
func (o options) few() int     { return (o.clients + fewStep - 1) / fewStep }
func (o options) leavers() int { return min(10_000, o.clients/10) }
