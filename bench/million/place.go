package main

import (
	"fmt"
	"slices"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/reactor"
)

// decisive are the limits that no run gets around; the others make it slower
// or matter to servers that run for long.
var decisive = []string{
	"fs.nr_open", "fs.file-max", "RLIMIT_NOFILE hard", "RLIMIT_NOFILE soft", "fs.epoll.max_user_watches",
	"net.ipv4.tcp_mem", "net.ipv4.ip_local_port_range", "net.netfilter.nf_conntrack_max",
	"MemAvailable", "cgroup memory limit",
}

// shortOf says what keeps both ends of all connections from fitting here.
func shortOf(o options) []string {
	reactor.RaiseDescriptorLimit() // what stays too low is found below
	report := preflight.Run(preflight.Host(), preflight.Target{
		Connections:     o.clients,
		Side:            preflight.Both,
		SourceAddresses: rig.Sources(o.clients),
	})
	var short []string
	for _, f := range report.Fixes() {
		if slices.Contains(decisive, f.Name) {
			short = append(short, fmt.Sprintf("%s is %s, needed is %s", f.Name, f.Value, f.Needed))
		}
	}
	return short
}
