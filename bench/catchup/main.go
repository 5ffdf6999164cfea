// Catchup measures a storm of clients that come back at once: all of them
// subscribe to one channel since a durable message a hundred messages back,
// while the channel goes on. Each has to get all it missed and what comes
// meanwhile, every message once and in order.
//
//	go run ./bench/catchup -n 5000
//
// It starts a redis-server and a gateway of its own. In turn the clients
//
//	reconnect, cold   connect to a gateway that has just been started and
//	                  knows nothing of the channel
//	reconnect, warm   connect again; the gateway has the messages in memory
//	subscribe, cold   are connected already, and only subscribe
//
// A line says after what time half of the clients, 99 % of them and the last
// one were caught up, counted from the start of all; how often Redis was asked
// for a part of the stream (XRANGE and XREVRANGE) by its own count; and how much
// CPU time the gateway used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// options are the command line's.
type options struct {
	clients  int
	behind   int // messages that each client has missed
	live     int // messages that are published during a storm
	size     int // bytes of payload
	inFlight int // connections under way at a time
}

// spareDescriptors is what the process needs beside its clients.
const spareDescriptors = 100

func (o options) validate() error {
	switch {
	case o.clients < 1 || o.behind < 1 || o.live < 0 || o.inFlight < 1:
		return errors.New("-n, -behind and -c are at least 1, -live at least 0")
	case o.size < 16 || o.size > 32<<10:
		return errors.New("-size is 16 to 32768")
	}
	soft, _, err := reactor.RaiseDescriptorLimit()
	if err == nil && uint64(o.clients+spareDescriptors) > soft {
		err = fmt.Errorf("%d clients need more files than the %d that may be open: raise ulimit -n", o.clients, soft)
	}
	return err
}

func main() {
	var o options
	flag.IntVar(&o.clients, "n", 5000, "clients")
	flag.IntVar(&o.behind, "behind", 100, "messages that each client has missed")
	flag.IntVar(&o.live, "live", 20, "messages that are published during a storm")
	flag.IntVar(&o.size, "size", 128, "bytes of payload")
	flag.IntVar(&o.inFlight, "c", 1000, "connections under way at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "catchup:", err)
		os.Exit(1)
	}
}

// result is one storm's.
type result struct {
	name            string
	half, most, all time.Duration // until so many clients were caught up
	reads           int           // of the stream, by Redis' count
	cpu             time.Duration // of the gateway
}

// run measures all storms and prints a line for each.
func run(ctx context.Context, o options, w io.Writer) error {
	if err := o.validate(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d clients, %d messages of %d bytes behind, %d more during the storm\n\n", o.clients, o.behind, o.size, o.live)
	fmt.Fprintf(w, "%-18s %9s %9s %9s %12s %12s\n", "", "50 %", "99 %", "all", "stream reads", "gateway CPU")
	results, err := storms(ctx, o)
	for _, r := range results {
		fmt.Fprintf(w, "%-18s %6d ms %6d ms %6d ms %12d %9d ms\n", r.name,
			r.half.Milliseconds(), r.most.Milliseconds(), r.all.Milliseconds(), r.reads, r.cpu.Milliseconds())
	}
	return err
}
