package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/sink"
)

func serveCommand(keys *pflag.FlagSet) *cobra.Command {
	return withConfig(keys, &cobra.Command{
		Use:   "serve",
		Short: "run the gateway, as does no command at all",
		Long: `Run the gateway, as does no command at all.

SIGTERM or SIGINT drains: readiness turns 503, the listener closes after
drain.delay, the clients are told to reconnect elsewhere and closed evenly over
drain.timeout, and the exit code is 0. A second signal exits at once with 1.

SIGHUP reads the configuration again and takes over the keys that can change while
clients are connected; the log names the others. ` + "`gateway help config`" + ` lists
both.`,
	}, everyKey, settings.validate, func(c *cobra.Command, _ []string, l loaded) error {
		return serve(c.Context(), l, c.Flags(), c.OutOrStdout().(*sink.Output), cli.Stderr(c))
	})
}

// serve runs a gateway until a signal ends it.
func serve(ctx context.Context, l loaded, flags *pflag.FlagSet, stdout *sink.Output, stderr *sink.Writer) error {
	log, level := newLogger(stderr, l.settings.Log)
	l.logForeign(log)
	reloads := make(chan os.Signal, 1) // sent to by the runtime, received and closed by a reloader
	signal.Notify(reloads, syscall.SIGHUP)
	slog.SetDefault(log) // for libraries, which would write to standard error
	stderr.Notice(lostNotice(l.settings.Log))
	sink.Detach(syscall.Stderr)
	ctx, stop := drainOnSignal(ctx, log, stderr)
	defer stop()
	broker, err := fanout.NewBroker(l.settings.Redis, log, nodeName())
	if err != nil {
		return explainTaken(err, l.settings)
	}
	server, err := gateway.New(l.settings.Config, broker, log)
	if err != nil {
		return explainTaken(errors.Join(err, broker.Close()), l.settings)
	}
	server.LogLost(stderr.Lost)
	spareProcessors(server.Loops())
	if os.Getenv("GOGC") == "" {
		server.CollectEarlier()
	}
	log.Info("listening", "public", server.Addr(), "admin", server.AdminAddr(), "version", versionText())
	logPreflight(log, l.settings)
	r := reloader{flags: flags, log: log, level: level, server: server, running: l.settings}
	stopReloads := r.start(reloads)
	defer stopReloads()
	writeWelcome(sink.NewWriter(stdout.Unwrap()), welcome{
		program: os.Args[0], public: server.Addr(), admin: server.AdminAddr(),
		embedded: broker.Embedded(), prefix: l.settings.Redis.Prefix,
	})
	notifySystemd(log, "READY=1")
	defer context.AfterFunc(ctx, func() { notifyStopping(log, server.StopTime()) })()
	return runBoth(ctx, server, broker)
}

// runBoth runs the server and, under it, the broker: the broker ends after the
// server, so that messages still arrive while the clients are drained. It
// returns once both have ended.
func runBoth(ctx context.Context, server *gateway.Server, broker *fanout.Broker) error {
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
// loops, unless the environment says how many. One is for the receivers of Redis.
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

// drainOnSignal returns a context that the first SIGTERM or SIGINT ends. A
// second signal ends the process. The goroutine that waits for them ends when
// stop is called; nobody has to wait for it.
func drainOnSignal(ctx context.Context, log *slog.Logger, stderr *sink.Writer) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2) // sent to by the runtime, closed by stop
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		if s, ok := <-signals; ok {
			log.Info("draining, a second signal exits at once", "signal", s.String())
			cancel()
		}
		if s, ok := <-signals; ok {
			log.Error("second signal, exiting now", "signal", s.String())
			stderr.Flush(cli.FlushTime)
			os.Exit(cli.ExitFailure)
		}
	}()
	return ctx, func() {
		signal.Stop(signals) // after which the runtime sends nothing
		close(signals)
		cancel()
	}
}
