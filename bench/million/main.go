// Million holds a million idle WebSocket clients on one gateway process and
// writes down what that takes.
//
//	go run ./bench/million -n 1000000
//
// The clients are one event loop in a process of its own, over many source
// addresses. Every client is subscribed to one channel, every hundredth to a
// second one. The course of a run:
//
//	connect     all clients, each done when its subscriptions are confirmed
//	hold        nothing but heartbeats
//	everyone    a message to all clients
//	few         a message to the second channel
//	return      10,000 clients (a tenth of fewer than 100,000) hang up and come
//	            back at once, and a message to the second channel reaches them
//	drain       SIGTERM; every client has to see its bye and close code 1012
//
// Where the limits or the memory of this box fall short, or with -guest, the
// same runs in an emulated Linux of its own, see bench/guest/guest.sh. The
// result is written as JSON and rendered to a page with charts.
//
//	million [flags]             run and render
//	million course [flags]      run on this box, write the JSON and nothing else
//	million render -docs docs   render the results that are kept there anew
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
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	verb := ""
	if len(args) > 0 && (args[0] == "course" || args[0] == "render") {
		verb, args = args[0], args[1:]
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	switch verb {
	case "course":
		return runCourse(ctx, o)
	case "render":
		return renderPage(o.docs)
	}
	return runAndRender(ctx, o)
}

// needsGuest reports whether the run is one in the emulated Linux.
func (o options) needsGuest(short []string) bool { return o.guest || len(short) > 0 }

// runAndRender runs the course here or in a guest, and renders what came out
// even when the run failed its own checks.
func runAndRender(ctx context.Context, o options) error {
	short := shortOf(o)
	if o.where {
		place := "here"
		if o.needsGuest(short) {
			place = "guest"
		}
		_, err := fmt.Println(place)
		return err
	}
	for _, s := range short {
		fmt.Println("this box falls short:", s)
	}
	file, err := os.CreateTemp("", "million-*.json")
	if err != nil {
		return err
	}
	file.Close()
	defer os.Remove(file.Name())
	o.result = file.Name()
	var failed error
	if o.needsGuest(short) {
		failed = runInGuest(ctx, o)
	} else {
		failed = runCourse(ctx, o)
	}
	res, err := readResult(o.result)
	if err != nil {
		return errors.Join(failed, err)
	}
	if err := keepResult(o.docs, res); err != nil {
		return errors.Join(failed, err)
	}
	return errors.Join(failed, renderPage(o.docs))
}
