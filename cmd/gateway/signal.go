package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// drainOnSignal returns a context that the first SIGTERM or SIGINT ends. A
// second signal ends the process. The goroutine that waits for them ends when
// stop is called; nobody has to wait for it.
func drainOnSignal(ctx context.Context, log *slog.Logger, std stdio) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2) // sent to by the runtime, never closed
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	stopped := make(chan struct{})
	go func() {
		for count := 0; ; count++ {
			select {
			case s := <-signals:
				if count > 0 {
					log.Error("second signal, exiting now", "signal", s.String())
					std.err.Flush(flushTime)
					os.Exit(exitFailure)
				}
				log.Info("draining, a second signal exits at once", "signal", s.String())
				cancel()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		cancel()
	}
}
