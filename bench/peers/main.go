// Peers compares the gateway with other ways to push a message to many clients:
// the centrifuge library, gobwas/ws with a goroutine for each connection, the
// hub of gorilla/websocket, and nchan. Over TLS it compares the gateway's own with
// nginx and HAProxy in front of it, with net/http, and with centrifuge over that.
//
//	go run . -gateway ../../bin/gateway -transport websocket -n 5000
//
// All get the same clients, on one event loop in this process, and the same
// work. In each round every server is started anew and goes through
//
//	connect     n clients, -c of them under way at a time; each is done when it
//	            is subscribed to the one channel of all
//	hold        nothing but heartbeats, over an interval after the first
//	deliver     messages to all clients, the next one when the last client has
//	            it
//
// The figures are of the server's processes alone, CPU time as user and system.
// Every client checks that it gets every message once and in order; losses are
// a figure like the others.
//
//	peers [flags]             measure, keep the results and render the page
//	peers render -docs docs   render the page from the kept results
//	peers serve NAME          run one of the servers made here
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	verb := ""
	if len(args) > 0 && (args[0] == "serve" || args[0] == "render") {
		verb, args = args[0], args[1:]
	}
	if verb == "serve" {
		return serve(args, os.Stdin, os.Stdout)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if verb == "" {
		if err := measure(ctx, o, os.Stdout); err != nil {
			return err
		}
	}
	return renderPage(o.docs)
}
