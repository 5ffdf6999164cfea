package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/sink"
)

func serveCommand() command {
	return command{
		name:    "serve",
		summary: "run the gateway",
		help: `
SIGTERM or SIGINT drains: readiness turns 503, the listener closes after
drain.delay, the clients are told to reconnect elsewhere and closed evenly over
drain.timeout, and the exit code is 0. A second signal exits at once with 1.

SIGHUP reads the configuration again and takes over what can change while
clients are connected; the log names what can't. ` + "`gateway help config`" + ` tells
which keys those are.`,
		keys: everyKey, judges: true,
		exec: runServe,
	}
}

func runServe(ctx context.Context, std stdio, fs *pflag.FlagSet) error {
	if err := noArgs("serve", fs); err != nil {
		return err
	}
	l, err := load(fs, settings.validate)
	if err != nil {
		return err
	}
	log, level := newLogger(std.err, l.settings.Log)
	l.logForeign(log)
	reloads := catchReloads()
	slog.SetDefault(log) // for libraries, whose lines went to standard error by themselves
	std.err.Notice(lostNotice(l.settings.Log))
	sink.Detach(syscall.Stderr)
	ctx, stop := drainOnSignal(ctx, log, std)
	defer stop()
	broker, err := fanout.NewBroker(l.settings.Redis, log, nodeName())
	if err != nil {
		return explainTaken(err, l.settings)
	}
	server, err := gateway.New(l.settings.Config, broker, log)
	if err != nil {
		return explainTaken(errors.Join(err, broker.Close()), l.settings)
	}
	server.LogLost(std.err.Lost)
	spareProcessors(server.Loops())
	if os.Getenv("GOGC") == "" {
		server.CollectEarlier()
	}
	log.Info("listening", "public", server.Addr(), "admin", server.AdminAddr(), "version", versionText())
	logPreflight(log, l.settings)
	r := reloader{flags: fs, log: log, level: level, server: server, running: l.settings}
	stopReloads := r.start(reloads)
	defer stopReloads()
	writeWelcome(sink.NewWriter(std.out.Unwrap()), welcomeFor(l.settings, server, broker))
	systemd := newSupervisor()
	systemd.ready(log)
	defer context.AfterFunc(ctx, func() { systemd.stopping(log, server.StopTime()) })()
	return serve(ctx, server, broker)
}

// serve runs the server and, under it, the broker: the broker ends after the
// server, so that messages still arrive while the clients are drained. It
// returns once both have ended.
func serve(ctx context.Context, server *gateway.Server, broker *fanout.Broker) error {
	brokerCtx, stopBroker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBroker()
	serverCtx, stopServer := context.WithCancel(ctx)
	defer stopServer()

	brokerDone := make(chan error, 1)
	go func() {
		// Ends when brokerCtx does, waited for below; should the broker give
		// up by itself, the server can't do its work either.
		brokerDone <- broker.Run(brokerCtx)
		stopServer()
	}()
	err := server.Run(serverCtx)
	stopBroker()
	if brokerErr := <-brokerDone; brokerErr != nil && !errors.Is(brokerErr, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("broker: %w", brokerErr))
	}
	return err
}

// spareProcessors gives Go's scheduler more processors than there are event
// loops, unless the environment says how many. One is for what receives from Redis.
// With each of them in a loop's wait, the runtime's monitor takes one away and gives
// it back all the time, and wakes up every 20 us for it: 15 % of the CPU time of a
// flood of handshakes on 2 CPUs, which cost 40 us each in place of 49. The other is
// for the collector, behind which a message would wait while all loops are busy.
func spareProcessors(loops int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(loops + 2)
	}
}

// nodeName names this run of the gateway in the positions of plain messages.
// It is drawn anew at each start: a position counts one process' messages and
// must not be honoured by the next one, which would have the same host name
// and, in a container, the same process id.
func nodeName() string {
	return strings.ToLower(rand.Text()[:8])
}
