// Package ratios measures the cost of the gateway beside the bare loop of
// bench/bare, in one run on one machine: CPU per handshake, per delivery and
// per ping, memory per connection. It builds both programs, starts a
// redis-server for the gateway, and runs them in turn for some rounds with the
// same clients.
//
// The figures are CPU time of the server's process, user and system, without
// the clients and Redis. The clients are one event loop; they send both servers
// the same bytes and read the same way. One round runs, each in a process of
// its own:
//
//	handshake    n connections, -c of them under way at a time. For the gateway
//	             one is done when the subscription to the one channel of all is
//	             confirmed, for the bare loop with the response.
//	delivery     a message to all of them, the next one when the last client has
//	             it; and all messages at once, which lets a server write several
//	             with one call. The gateway is measured with socket.io_uring off,
//	             where it writes as the bare loop does, and as it comes.
//	ping cycle   a ping and its answer. The bare loop pings everybody at once,
//	             the gateway over its heartbeat interval; its use without clients
//	             is subtracted.
//	RSS growth   resident memory (anonymous and file pages) between -low and
//	             -high connections, divided by their difference.
//
// Each ratio is taken within a round; the table has the median of the rounds
// and their range. A message that is lost or doubled ends the run with an
// error, as does a client that the server closes.
package ratios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// options are the command line's.
type options struct {
	connections int           // clients for handshake, delivery and ping
	inFlight    int           // handshakes under way at a time
	messages    int           // deliveries to each client, in each of the two ways
	size        int           // bytes of payload
	rounds      int           // of both servers
	low, high   int           // connections between which memory is compared
	interval    time.Duration // between two pings of the gateway to one client
	cycles      int           // intervals over which pings are measured
	loops       int           // event loops of the gateway; 0 means one per CPU
	strict      bool          // a figure over its budget is an error
}

// most is how many clients a server may have.
func (o options) most() int { return max(o.connections, o.high) }

// Run measures and prints the table.
func Run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	printMachine(out, o)
	rounds, err := measure(ctx, o, out)
	if err != nil {
		return err
	}
	over := printTable(out, rounds)
	if o.strict && len(over) > 0 {
		return fmt.Errorf("over budget: %v", over)
	}
	return nil
}

func parse(args []string) (options, error) {
	var o options
	flags := rig.Flags("ratios")
	flags.IntVar(&o.connections, "n", 10_000, "`connections` for handshake, delivery and ping")
	flags.IntVar(&o.inFlight, "c", 100, "`handshakes` under way at a time")
	flags.IntVar(&o.messages, "messages", 50, "`messages` to each connection")
	flags.IntVar(&o.size, "size", 128, "`bytes` of a message")
	flags.IntVar(&o.rounds, "rounds", 5, "`times` that both servers are measured")
	flags.IntVar(&o.low, "low", 5_000, "`connections` from which memory growth is measured")
	flags.IntVar(&o.high, "high", 15_000, "`connections` up to which memory growth is measured")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "`time` between two pings of the gateway")
	flags.IntVar(&o.cycles, "cycles", 3, "`intervals` over which pings are measured")
	flags.IntVar(&o.loops, "loops", 0, "event `loops` of the gateway; 0 means one per CPU")
	flags.BoolVar(&o.strict, "strict", false, "fail when a figure is over its budget")
	if err := rig.Parse(flags, args); err != nil {
		return o, err
	}
	return o, o.validate()
}

// validate reports everything that is wrong.
func (o options) validate() error {
	most, err := rig.MostClients()
	if err != nil {
		return err
	}
	return errors.Join(
		rig.Between("n", o.connections, 1, most),
		rig.Between("c", o.inFlight, 1, 4096),
		rig.Between("messages", o.messages, 1, 1000),
		rig.Between("size", o.size, 2, 1024),
		rig.Between("rounds", o.rounds, 1, 1000),
		rig.Between("low", o.low, 1, most),
		rig.Between("high", o.high, o.low+1, most),
		rig.Between("cycles", o.cycles, 1, 1000),
		rig.Between("loops", o.loops, 0, 1024),
		rig.Between("interval", o.interval, 200*time.Millisecond, time.Minute),
	)
}
