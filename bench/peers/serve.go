package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"time"
)

// made is a server of this program.
type made interface {
	// serve takes the clients that come; it returns when the listener fails.
	serve(net.Listener) error
	// publish sends a text, which is its own, to all clients.
	publish(text []byte) error
}

// makers make them, by the name of the server.
var makers = map[string]func(transport, time.Duration) (made, error){
	centrifugeName:      newCentrifuge,
	"gobwas goroutines": newGoroutines,
	"gorilla hub":       newHub,
}

// serve runs one of the servers: it prints its address, and publishes each line
// that it reads until there are no more.
func serve(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	how := flags.String("transport", string(websocketTransport), "websocket or sse")
	interval := flags.Duration("interval", 25*time.Second, "`time` between two heartbeats")
	if err := flags.Parse(args); err != nil {
		return err
	}
	newServer, ok := makers[flags.Arg(0)]
	if !ok {
		return fmt.Errorf("there is no server %q", flags.Arg(0))
	}
	s, err := newServer(transport(*how), *interval)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1) // written by the goroutine, which ends with the process
	go func() { failed <- s.serve(l) }()
	fmt.Fprintln(out, l.Addr())
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := s.publish(append([]byte(nil), lines.Bytes()...)); err != nil {
			return err
		}
		select {
		case err := <-failed:
			return err
		default:
		}
	}
	return lines.Err()
}
