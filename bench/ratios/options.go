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
	tls         bool          // the gateway over TLS is measured against the gateway in the clear
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
	if o.tls {
		return printTable(out, rounds, [2]string{"clear", "TLS"}, secureLines)
	}
	return printTable(out, rounds, [2]string{"bare", "gateway"}, lines)
}

func parse(args []string) (o options, err error) {
	most, err := rig.MostClients()
	if err != nil {
		return o, err
	}
	flags := rig.NewFlags("ratios")
	flags.Int(&o.connections, "n", 10_000, 1, most, "`connections` for handshake, delivery and ping")
	flags.Int(&o.inFlight, "c", 100, 1, 4096, "`handshakes` under way at a time")
	flags.Int(&o.messages, "messages", 50, 1, 1000, "`messages` to each connection")
	flags.Int(&o.size, "size", 128, 2, 1024, "`bytes` of a message")
	flags.Int(&o.rounds, "rounds", 5, 1, 1000, "`times` that both servers are measured")
	flags.Int(&o.low, "low", 5_000, 1, most, "`connections` from which memory growth is measured")
	flags.Int(&o.high, "high", 15_000, 2, most, "`connections` up to which memory growth is measured")
	flags.Duration(&o.interval, "interval", 2*time.Second, 200*time.Millisecond, time.Minute, "`time` between two pings of the gateway")
	flags.Int(&o.cycles, "cycles", 3, 1, 1000, "`intervals` over which pings are measured")
	flags.Int(&o.loops, "loops", 0, 0, 1024, "event `loops` of the gateway; 0 means one per CPU")
	flags.BoolVar(&o.tls, "tls", false, "measure the gateway over TLS against the gateway in the clear")
	err = flags.Parse(args)
	return o, errors.Join(err, rig.Between("high", o.high, o.low+1, max(most, o.high)))
}
