package main

import (
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"

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

// start reloads on each of the signals. Its goroutine ends when stop is called,
// which waits for it.
func (r *reloader) start(signals chan os.Signal) (stop func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range signals {
			r.reload()
		}
	}()
	return func() {
		signal.Stop(signals) // after which the runtime sends nothing
		close(signals)
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
	connections := r.running.Limits.Connections
	changed, kept := r.adopt(l.settings, refused)
	for _, name := range kept {
		r.log.Warn("a key keeps its value until a restart", "key", name, "set_in", l.origins[name])
	}
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

// adopt takes next over and returns the keys that changed, and those that keep
// their value: the ones that the server refused.
func (r *reloader) adopt(next settings, refused []string) (changed, kept []string) {
	for _, k := range allKeys() {
		switch {
		case k.kind.text(k.get(&r.running)) == k.kind.text(k.get(&next)):
		case slices.Contains(refused, k.name), k.name == "log.format":
			kept = append(kept, k.name)
		default:
			changed = append(changed, k.name)
			k.get(&r.running).Set(k.get(&next))
		}
	}
	return changed, kept
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
