// Bare is the yardstick of the gateway's CPU budgets: the least that a process
// can do to take WebSocket connections and write to them. One loop on raw epoll
// accepts with accept4, answers the handshake with nothing checked but the key,
// and delivers with one write(2) per connection. It has no channels, no limits,
// no queue and no timeout, and serves nothing but measurements on a loopback
// address. It shares no code with the gateway, so that a change there can't move
// the yardstick.
//
//	bare -listen 127.0.0.1:9000
//
// Once it listens it prints its address on one line; port 0 lets the kernel
// choose. Any path is a WebSocket endpoint.
//
// It takes commands from a pipe at its standard input, one a line, answers each
// with one line of JSON, and exits when there are no more:
//
//	send N SIZE   write a text frame with SIZE bytes of payload to every
//	              connection, N times over
//	ping          write a ping frame to every connection; the pongs are counted
//	              as they come in
//	stats         only answer
//
// The answer holds the counters since the start, see Stats. The CPU time is the
// process's, which the caller reads.
//
// A write that the kernel refuses is dropped and counted as refused, one that it
// takes in part closes the connection: a run with either measures nothing. What
// one "send" writes to a connection should fit its send buffer.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

// run serves until standard input ends.
func run(args []string) error {
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "`address` for WebSocket connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	s, err := newServer(*listen)
	if err != nil {
		return err
	}
	fmt.Println(s.addr)
	return s.serve()
}
