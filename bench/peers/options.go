package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// transport is how the clients come.
type transport string

const (
	websocketTransport transport = "websocket"
	eventsTransport    transport = "sse"
	secureTransport    transport = "tls" // WebSocket over TLS
)

var (
	plain      = []transport{websocketTransport, eventsTransport}
	secure     = []transport{secureTransport}
	transports = slices.Concat(plain, secure)
)

// options are the command line's.
type options struct {
	gateway    string // program
	docs       string // folder that the page is written to
	transports []transport
	counts     []int // connections; nil: the transport's own
	servers    []server
	inFlight   int
	messages   int // to each client; 0: by the number of connections
	size       int // bytes of a message
	rounds     int
	interval   time.Duration // of the heartbeat
}

func parse(args []string) (options, error) {
	var o options
	flags := rig.NewFlags("peers")
	flags.StringVar(&o.gateway, "gateway", "bin/gateway", "the gateway's `program`")
	flags.StringVar(&o.docs, "docs", "docs", "`folder` that BENCHMARKS.md, its charts and the results are written to")
	how := flags.String("transport", "", "comma-separated `names`: websocket,sse,tls; default all")
	flags.Func("n", "comma-separated numbers of `connections`; default 1000,5000,15000, over TLS 8000", func(text string) error {
		o.counts = nil
		for number := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(number)
			if err != nil {
				return err
			}
			o.counts = append(o.counts, n)
		}
		return nil
	})
	only := flags.String("only", "", "comma-separated `names` of the servers; default all that are here")
	flags.Int(&o.inFlight, "c", 100, 1, 4096, "`handshakes` under way at a time")
	flags.Int(&o.messages, "messages", 0, 0, 1000, "`messages` to each connection; default 100, fewer over 2000 connections, 20 at least")
	flags.Int(&o.size, "size", 128, 32, 1024, "`bytes` of a message")
	flags.Int(&o.rounds, "rounds", 3, 1, 100, "`times` that each server is measured")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "`time` between two heartbeats, in whole seconds")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var noServer, noTransport error
	o.servers, noServer = choose(*only, servers, func(s server) string { return s.name })
	o.transports, noTransport = choose(*how, transports, func(t transport) string { return string(t) })
	most, wrong := rig.MostClients()
	for _, t := range o.transports {
		for _, n := range o.countsFor(t) {
			if t == secureTransport && n > proxied(most) && n <= most {
				wrong = errors.Join(wrong, fmt.Errorf("-n: %d is not allowed over TLS, want 1 to %d: a proxy has two descriptors for a client", n, proxied(most)))
			} else {
				wrong = errors.Join(wrong, rig.Between("n", n, 1, most))
			}
		}
	}
	// nchan takes no parts of a second.
	if o.interval < time.Second || o.interval > time.Minute || o.interval%time.Second != 0 {
		wrong = errors.Join(wrong, fmt.Errorf("-interval: %v is not allowed, want whole seconds, 1s to 1m", o.interval))
	}
	return o, errors.Join(wrong, noServer, noTransport)
}

// countsFor returns the numbers of connections that a transport is measured with.
func (o options) countsFor(t transport) []int {
	switch {
	case o.counts != nil:
		return o.counts
	case t == secureTransport:
		return []int{8000}
	}
	return []int{1000, 5000, 15_000}
}

// proxied is how many clients a proxy has room for where others have it for most.
func proxied(most int) int { return (most - proxySpare) / 2 }

// choose returns the items named in a comma-separated list, in the list's order; all of them where
// the list is empty.
func choose[T any](list string, all []T, name func(T) string) (chosen []T, wrong error) {
	if list == "" {
		return all, nil
	}
	var names []string
	for _, x := range all {
		names = append(names, name(x))
	}
	for word := range strings.SplitSeq(list, ",") {
		if i := slices.Index(names, word); i >= 0 {
			chosen = append(chosen, all[i])
		} else {
			wrong = errors.Join(wrong, fmt.Errorf("there is no %q, only %s", word, strings.Join(names, ", ")))
		}
	}
	return chosen, wrong
}

// messagesFor keeps a round about as long with many connections.
func (o options) messagesFor(connections int) int {
	if o.messages > 0 {
		return o.messages
	}
	return max(20, min(100, 200_000/connections))
}
