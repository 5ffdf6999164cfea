package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
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
	netHTTPName:         newNetHTTP,
	"gorilla hub":       newHub,
}

// serve runs one of the servers: it prints its address, and publishes each line
// that it reads until there are no more.
func serve(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	how := flags.String("transport", string(websocketTransport), "websocket, sse or tls")
	dir := flags.String("certificate", ".", "`folder` with cert.pem and key.pem, for tls")
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
	fmt.Fprintln(out, l.Addr())
	if transport(*how) == secureTransport {
		if l, err = secureListener(l, *dir); err != nil {
			return err
		}
	}
	go s.serve(l) // ends with the process; the clients see a listener that failed
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := s.publish(append([]byte(nil), lines.Bytes()...)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// startOwn starts one of the servers of this program.
func startOwn(ctx context.Context, s setting) (*running, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "-transport", string(s.transport), "-interval", s.heartbeat().String()}
	if s.transport == secureTransport {
		args = append(args, "-certificate", s.dir)
	}
	args = append(args, s.server)
	p, err := rig.LaunchPiped(s.server, exec.CommandContext(ctx, self, args...))
	if err != nil {
		return nil, err
	}
	r := &running{
		Process: p.Process,
		listen:  p.Listen,
		path:    "/",
		speech:  client.Speech{Number: numberMark},
		publish: func(_ context.Context, text []byte) error {
			_, err := p.In.Write(append(text, '\n'))
			return err
		},
		config: strings.ReplaceAll(fmt.Sprintf("peers serve %s %q", strings.Join(args[1:len(args)-1], " "), s.server), s.dir, "/tmp/peers"),
		close:  p.Kill,
	}
	if s.server == centrifugeName {
		r.speech = centrifugeSpeech(s.transport)
		if s.transport == eventsTransport {
			r.path = centrifugeEventsPath
		}
	}
	return r, nil
}
