package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// result is all that a run found out about one transport and number of
// connections.
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

// line is a round's line of the log.
func (m *measured) line() string {
	f := m.Rounds[len(m.Rounds)-1]
	if f.Failed != "" {
		return fmt.Sprintf("%-18s failed: %s", m.Name, f.Failed)
	}
	return fmt.Sprintf("%-18s connect %.2f s, %.2f s CPU; %+.1f MiB; %d pings %.3f s CPU; %d delivered %.2f s CPU, last %.1f ms; %d lost, %d doubled, %d broken %s",
		m.Name, f.Connect, f.ConnectCPU, float64(f.With-f.Before)/(1<<20), f.Pings, f.HoldCPU, f.Deliveries, f.DeliverCPU, median(f.Last)*1e3,
		f.Counts.Lost, f.Counts.Doubled, f.Counts.Broken, f.Counts.Why)
}

// keep puts the result beside the charts, so that the page can be made anew.
func (r *result) keep(docs string) error {
	dir := filepath.Join(docs, "benchmarks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.json", r.Transport, r.Connections)), append(text, '\n'), 0o644)
}

// keptResults returns all of them, WebSocket and few connections first.
func keptResults(docs string) ([]*result, error) {
	names, err := filepath.Glob(filepath.Join(docs, "benchmarks", "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*result
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		r := new(result)
		if err := json.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no result in %s/benchmarks", docs)
	}
	slices.SortFunc(all, func(a, b *result) int {
		if d := slices.Index(transports, a.Transport) - slices.Index(transports, b.Transport); d != 0 {
			return d
		}
		return a.Connections - b.Connections
	})
	return all, nil
}
