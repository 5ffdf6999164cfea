package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/cli"
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
	server, err := gateway.New(l.settings.Config, gateway.Options{Log: log, LostLines: stderr.Lost, TuneProcess: true})
	if err != nil {
		return explainTaken(err, l.settings)
	}
	log.Info("listening", "public", server.Addr(), "tls", server.TLSAddr(), "admin", server.AdminAddr(), "version", versionText())
	logPreflight(log, l.settings)
	r := reloader{flags: flags, log: log, level: level, server: server, running: l.settings}
	stopReloads := r.start(reloads)
	defer stopReloads()
	w := welcome{
		program: os.Args[0], public: server.Addr(), tls: server.TLSAddr(), admin: server.AdminAddr(),
		embedded: server.Embedded(), prefix: l.settings.Redis.Prefix,
	}
	if w.tls != "" {
		w.certificate, w.clientCerts = server.Certificates().Certificates()[0], l.settings.TLS.ClientCAFile != ""
		if w.selfSigned = l.settings.TLS.SelfSigned; w.selfSigned {
			w.certFile = offerCertificate(log, w.certificate, w.tls)
			defer os.Remove(w.certFile)
		}
	}
	writeWelcome(sink.NewWriter(stdout.Unwrap()), w)
	notifySystemd(log, "READY=1")
	defer context.AfterFunc(ctx, func() { notifyStopping(log, server.StopTime()) })()
	return server.Run(ctx)
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
