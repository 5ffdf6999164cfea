package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/preflight"
)

// reloader reads the configuration again on SIGHUP. Its fields belong to the
// goroutine of start.
type reloader struct {
	flags   *pflag.FlagSet
	log     *slog.Logger
	level   *slog.LevelVar
	server  *gateway.Server
	running settings // in force
}

// catchReloads has SIGHUP wait for a reloader from now on: until then it would
// end the process.
func catchReloads() chan os.Signal {
	signals := make(chan os.Signal, 1) // sent to by the runtime, received by a reloader; never closed
	signal.Notify(signals, syscall.SIGHUP)
	return signals
}

// start reloads on each of the signals. Its goroutine ends when stop is
// called, which waits for it.
func (r *reloader) start(signals chan os.Signal) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				r.reload()
			case <-stopped:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(stopped)
		<-ended
	}
}

// reload takes over all that can change while clients are connected, or, with
// anything wrong, nothing.
func (r *reloader) reload() {
	l, err := load(r.flags, settings.validate)
	var refused []string
	if err == nil {
		refused, err = r.server.Reload(l.settings.Config)
	}
	if err != nil {
		r.server.ReloadFailed()
		r.logErrors(err)
		return
	}
	refused = append(refused, r.bound(l.settings)...)
	for _, name := range refused {
		r.log.Warn("a key keeps its value until a restart", "key", name, "set_in", l.origins[name])
	}
	connections := r.running.Limits.Connections
	changed := r.adopt(l.settings, refused)
	_ = r.level.UnmarshalText([]byte(r.running.Log.Level)) // validated
	r.log.Info("the configuration is reloaded", "changed", strings.Join(changed, " "))
	if r.running.Limits.Connections != connections {
		logPreflight(r.log, r.running)
	}
}

// logErrors logs everything that is wrong, a line each.
func (r *reloader) logErrors(err error) {
	problems := configError{}
	if !errors.As(err, &problems) {
		problems = problems.add(err, nil)
	}
	for _, p := range problems {
		r.log.Error("the configuration is wrong", "problem", maskPasswords(p.text), "set_in", p.origin)
	}
	r.log.Error("nothing was reloaded", "problems", len(problems))
}

// bound returns the keys outside the edge that changed and can't be taken
// over.
func (r *reloader) bound(next settings) (names []string) {
	for _, k := range allKeys() {
		if strings.HasPrefix(k.name, "redis.") || k.name == "log.format" {
			if r.differs(k, &next) {
				names = append(names, k.name)
			}
		}
	}
	return names
}

// adopt takes next over but for the refused keys, and returns the keys that changed.
func (r *reloader) adopt(next settings, refused []string) (changed []string) {
	for _, k := range allKeys() {
		if r.differs(k, &next) && !slices.Contains(refused, k.name) {
			changed = append(changed, k.name)
			k.get(&r.running).Set(k.get(&next))
		}
	}
	return changed
}

// differs compares a key's value as it would be written.
func (r *reloader) differs(k key, next *settings) bool {
	return k.kind.text(k.get(&r.running)) != k.kind.text(k.get(next))
}

// logPreflight logs every limit of this box that is too low for
// limits.connections.
func logPreflight(log *slog.Logger, s settings) {
	if s.Limits.Connections == 0 {
		return
	}
	report := preflight.Run(preflight.Host(), preflightTarget(s, s.Limits.Connections))
	for _, f := range report.Fixes() {
		log.Warn("a limit of this box is too low for limits.connections", "connections", s.Limits.Connections,
			"limit", f.Name, "value", f.Value, "needed", f.Needed, "why", f.Why, "fix", f.Fix)
	}
}
