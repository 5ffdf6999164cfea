package main

import (
	"fmt"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// result is a run's with one transport and number of connections.
type result struct {
	Date        string            `json:"date"`
	Machine     rig.Machine       `json:"machine"`
	Versions    map[string]string `json:"versions"`
	Transport   transport         `json:"transport"`
	Connections int               `json:"connections"`
	InFlight    int               `json:"in_flight"`
	Messages    int               `json:"messages"`
	Size        int               `json:"size"`
	Interval    float64           `json:"interval"` // seconds
	Servers     []measured        `json:"servers"`
}

// measured is one server in it.
type measured struct {
	Name   string    `json:"name"`
	Config string    `json:"config"`
	Rounds []figures `json:"rounds"`
}

func newResult(o options, t transport, n int) *result {
	return &result{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: rig.ThisMachine(), Versions: versions(o.gateway),
		Transport: t, Connections: n, InFlight: o.inFlight, Messages: o.messagesFor(n), Size: o.size, Interval: o.interval.Seconds(),
	}
}

// server is one of the servers, without rounds where it was not measured.
func (r *result) server(name string) *measured {
	if i := slices.IndexFunc(r.Servers, func(m measured) bool { return m.Name == name }); i >= 0 {
		return &r.Servers[i]
	}
	return &measured{Name: name}
}

// line is a round's line of the log.
func (m *measured) line() string {
	f := m.Rounds[len(m.Rounds)-1]
	if f.Failed != "" {
		return fmt.Sprintf("%-18s failed: %s", m.Name, f.Failed)
	}
	return fmt.Sprintf("%-18s connect %.2f s, %.2f s CPU; %+.1f MiB, kernel %+.1f MiB; %d pings %.3f s CPU; %d delivered %.2f s CPU, last %.1f ms; %d lost, %d doubled, %d broken %s",
		m.Name, f.Connect, f.ConnectCPU, float64(f.With-f.Before)/(1<<20), float64(f.KernelWith-f.KernelBefore)/(1<<20), f.Pings, f.HoldCPU, f.Deliveries, f.DeliverCPU, rig.Median(f.Last)*1e3,
		f.Counts.Lost, f.Counts.Doubled, f.Counts.Broken, f.Counts.Why)
}

// keptResults returns all of them, WebSocket and few connections first.
func keptResults(dir string) ([]*result, error) {
	all, err := page.Kept[result](dir)
	slices.SortFunc(all, func(a, b *result) int {
		if d := slices.Index(transports, a.Transport) - slices.Index(transports, b.Transport); d != 0 {
			return d
		}
		return a.Connections - b.Connections
	})
	return all, err
}

// modules are those whose versions decide.
var modules = []string{"github.com/centrifugal/centrifuge", "github.com/gobwas/ws", "github.com/gorilla/websocket"}

// versions returns the versions of the compared servers, none for a server that isn't
// installed.
func versions(gateway string) map[string]string {
	all := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(modules, m.Path) {
				all[m.Path] = m.Version
			}
		}
	}
	for name, command := range map[string][]string{
		"gateway":            {gateway, "version"},
		"redis-server":       {"dpkg-query", "-W", "-f", "${Version}", "redis-server"},
		"nginx":              {"dpkg-query", "-W", "-f", "${Version}", "nginx"},
		"haproxy":            {"dpkg-query", "-W", "-f", "${Version}", "haproxy"},
		"libssl3":            {"dpkg-query", "-W", "-f", "${Version}", "libssl3"},
		"libnginx-mod-nchan": {"dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"},
	} {
		if text, err := exec.Command(command[0], command[1:]...).Output(); err == nil {
			all[name] = strings.TrimSpace(string(text))
		}
	}
	return all
}
