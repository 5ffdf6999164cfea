package preflight

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// verdicts returns the names of the findings with that verdict.
func verdicts(r Report, v Verdict) []string {
	var out []string
	for _, f := range r.Findings {
		if f.Verdict == v {
			out = append(out, f.Name)
		}
	}
	return out
}

func find(t *testing.T, r Report, name string) Finding {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no finding %q", name)
	}
	return r.Findings[i]
}

func TestBoxes(t *testing.T) {
	const million = 1_000_000
	noRedis := []string{"redis client-output-buffer-limit pubsub", "redis maxclients"}
	noConntrack := []string{"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"}
	tests := map[string]struct {
		box       box
		target    Target
		fix, skip []string
	}{
		"laptop, a few clients": {
			box: laptop(), target: Target{Connections: 1000, SendBuffer: 16384},
			skip: slices.Concat(noConntrack, noRedis),
		},
		"laptop, a million clients": {
			box: laptop(), target: Target{Connections: million, SendBuffer: 16384},
			fix:  []string{"net.core.somaxconn", "net.ipv4.tcp_mem"},
			skip: slices.Concat(noConntrack, noRedis),
		},
		"laptop, kernel-sized send buffers": {
			box: laptop(), target: Target{Connections: 1000},
			fix:  []string{"net.ipv4.tcp_wmem"},
			skip: slices.Concat(noConntrack, noRedis),
		},
		"laptop, both ends of a million": {
			box: laptop(), target: Target{Connections: million, Side: Both, SourceAddresses: 40, SendBuffer: 16384},
			fix:  []string{"fs.epoll.max_user_watches", "net.core.somaxconn", "net.ipv4.tcp_mem", "MemAvailable"},
			skip: slices.Concat(noConntrack, noRedis),
		},
		"laptop, a client with one address": {
			box: laptop(), target: Target{Connections: 40_000, Side: Client},
			fix:  []string{"net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse"},
			skip: noConntrack,
		},
		"server, a million clients": {
			box: server(), target: Target{Connections: million, SendBuffer: 16384},
			skip: noConntrack,
		},
		"server, ten million clients": {
			box: server(), target: Target{Connections: 10 * million, SendBuffer: 16384},
			fix:  []string{"RLIMIT_NOFILE hard", "RLIMIT_NOFILE soft", "net.ipv4.tcp_mem"},
			skip: noConntrack,
		},
		"server, as a client with 16 addresses": {
			box: server(), target: Target{Connections: million, Side: Client, SourceAddresses: 16},
			skip: noConntrack,
		},
		"server, as a client with 15 addresses": {
			box: server(), target: Target{Connections: million, Side: Client, SourceAddresses: 15},
			fix:  []string{"net.ipv4.ip_local_port_range"},
			skip: noConntrack,
		},
		"container, within its memory": {
			box: container(), target: Target{Connections: 90_000, SendBuffer: 16384},
			skip: slices.Concat([]string{"net.ipv4.tcp_mem"}, noConntrack, noRedis),
		},
		"container, beyond its memory": {
			box: container(), target: Target{Connections: 110_000, SendBuffer: 16384},
			fix:  []string{"cgroup memory limit"},
			skip: slices.Concat([]string{"net.ipv4.tcp_mem"}, noConntrack, noRedis),
		},
		"connection tracking, room for all": {
			box: router(), target: Target{Connections: 130_000, SendBuffer: 16384},
		},
		"connection tracking, too many": {
			box: router(), target: Target{Connections: 131_000, SendBuffer: 16384},
			fix: []string{"net.netfilter.nf_conntrack_max"},
		},
		"connection tracking, a million": {
			box: router(), target: Target{Connections: million, SendBuffer: 16384},
			fix: noConntrack,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := Run(tt.box.env(), tt.target)
			if got := verdicts(r, Fix); !slices.Equal(got, tt.fix) {
				t.Errorf("FIX %q, want %q", got, tt.fix)
			}
			if got := verdicts(r, Skip); !slices.Equal(got, tt.skip) {
				t.Errorf("SKIP %q, want %q", got, tt.skip)
			}
			if got, want := r.OK(), len(tt.fix) == 0; got != want {
				t.Errorf("OK is %v, want %v", got, want)
			}
		})
	}
}

// What limits no connections is warned of, and is no reason to fail.
func TestWarnings(t *testing.T) {
	b := server()
	b.synced = false
	r := Run(b.env(), Target{Connections: 1000, SendBuffer: 16384})
	if got := verdicts(r, Warn); !slices.Equal(got, []string{"clock synchronised"}) || !r.OK() {
		t.Errorf("WARN %q, OK is %v", got, r.OK())
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if want := "\nNothing to fix.\n\nWarnings:\n\n  clock synchronised: sudo timedatectl set-ntp true\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("got\n%s\nwant at its end\n%s", &text, want)
	}
}

func TestCommands(t *testing.T) {
	const million = 1_000_000
	clock := "sys/devices/system/clocksource/clocksource0/"
	v1 := map[string]string{
		"proc/self/cgroup": "8:pids:/\n4:cpu,memory:/apps/push\n0::/apps/push",
		"sys/fs/cgroup/memory/apps/push/memory.limit_in_bytes": "9223372036854771712",
		"sys/fs/cgroup/memory/apps/memory.limit_in_bytes":      "1073741824",
		"sys/fs/cgroup/memory/apps/memory.usage_in_bytes":      "73400320",
		"sys/fs/cgroup/memory/apps/memory.stat":                "cache 52428800\ntotal_inactive_file 52428800",
	}
	limited := laptop()
	limited.soft, limited.hard = 1024, 20_000
	starved := server()
	starved.redis = map[string]string{
		"client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
		"maxclients":                 "768",
	}
	tests := map[string]struct {
		box    box
		target Target
		knob   string
		value  string
		fix    string
	}{
		"hard limit": {
			box: limited, target: Target{Connections: million}, knob: "RLIMIT_NOFILE hard",
			value: "20000", fix: "sudo prlimit --pid $$ --nofile=1000512:1000512",
		},
		"soft limit below a hard one that is too low": {
			box: limited, target: Target{Connections: million}, knob: "RLIMIT_NOFILE soft",
			value: "1024", fix: "sudo prlimit --pid $$ --nofile=1000512:1000512",
		},
		"nr_open": {
			box:    laptop().with(map[string]string{"proc/sys/fs/nr_open": "1048576"}),
			target: Target{Connections: 2 * million}, knob: "fs.nr_open",
			value: "1048576", fix: "sudo sysctl -w fs.nr_open=1073741816",
		},
		"file-max counts what is open": {
			box:    laptop().with(map[string]string{"proc/sys/fs/file-max": "1009000"}),
			target: Target{Connections: million}, knob: "fs.file-max",
			value: "1009000", fix: "sudo sysctl -w fs.file-max=9223372036854775807",
		},
		"somaxconn follows the burst": {
			box: laptop(), target: Target{Connections: 300_000}, knob: "net.core.somaxconn",
			value: "4096", fix: "sudo sysctl -w net.core.somaxconn=16384",
		},
		"no SYN cookies": {
			box:    laptop().with(map[string]string{"proc/sys/net/ipv4/tcp_syncookies": "0"}),
			target: Target{Connections: 300_000}, knob: "net.ipv4.tcp_max_syn_backlog",
			value: "512", fix: "sudo sysctl -w net.ipv4.tcp_max_syn_backlog=16384",
		},
		"tcp_mem": {
			box: laptop(), target: Target{Connections: million}, knob: "net.ipv4.tcp_mem",
			value: "92862 123816 185724", fix: `sudo sysctl -w net.ipv4.tcp_mem="750000 1000000 1500000"`,
		},
		"oversized receive windows keep their bounds": {
			box:    laptop().with(map[string]string{"proc/sys/net/ipv4/tcp_rmem": "8192	16777216	33554432"}),
			target: Target{Connections: 1000}, knob: "net.ipv4.tcp_rmem",
			value: "8192 16777216 33554432", fix: `sudo sysctl -w net.ipv4.tcp_rmem="8192 131072 33554432"`,
		},
		"ports, a wider range is enough": {
			box: laptop(), target: Target{Connections: 50_000, Side: Client}, knob: "net.ipv4.ip_local_port_range",
			value: "28232 x 1 (32768-60999)", fix: `sudo sysctl -w net.ipv4.ip_local_port_range="10240 65535"`,
		},
		"ports, the widest range is enough": {
			box: laptop(), target: Target{Connections: 60_000, Side: Client}, knob: "net.ipv4.ip_local_port_range",
			value: "28232 x 1 (32768-60999)", fix: `sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"`,
		},
		"ports, more addresses on loopback": {
			box: laptop(), target: Target{Connections: million, Side: Both}, knob: "net.ipv4.ip_local_port_range",
			value: "28232 x 1 (32768-60999)",
			fix:   `sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535" && gateway doctor --target 1000000 --side both --sources 16`,
		},
		"ports, more addresses on a network": {
			box: server(), target: Target{Connections: 200_000, Side: Client, SourceAddresses: 2}, knob: "net.ipv4.ip_local_port_range",
			value: "64509 x 2 (1024-65535)",
			fix: `sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535" && ` +
				`for i in $(seq 4); do sudo ip address add ${NET:?such as 10.99}.$((i/250)).$((i%250+1))/16 dev ${DEV:?such as eth0}; done && ` +
				`gateway doctor --target 200000 --side client --sources 4`,
		},
		"ports, all of them reserved": {
			box:    laptop().with(map[string]string{"proc/sys/net/ipv4/ip_local_reserved_ports": "1-65535"}),
			target: Target{Connections: 10, Side: Client}, knob: "net.ipv4.ip_local_port_range",
			value: "0 x 1 (32768-60999)", fix: `sudo sysctl -w net.ipv4.ip_local_reserved_ports=""`,
		},
		"memory of the box": {
			box: laptop(), target: Target{Connections: 2 * million}, knob: "MemAvailable",
			value: "5.2 GiB", fix: "gateway serve --limits.connections=1265800",
		},
		"memory of a container": {
			box: container(), target: Target{Connections: 110_000}, knob: "cgroup memory limit",
			value: "512 MiB, 492 MiB free", fix: "docker update --memory=546m --memory-swap=546m CONTAINER",
		},
		"memory of a unit": {
			box: server().with(map[string]string{
				"sys/fs/cgroup/system.slice/gateway.service/memory.max":     "max",
				"sys/fs/cgroup/system.slice/gateway.service/memory.high":    "1073741824",
				"sys/fs/cgroup/system.slice/gateway.service/memory.current": "10485760",
			}),
			target: Target{Connections: million}, knob: "cgroup memory limit",
			value: "1.0 GiB, 1014 MiB free", fix: "sudo systemctl set-property gateway.service MemoryHigh=4267M",
		},
		"memory of a parent, version 1": {
			box: laptop().with(v1), target: Target{Connections: million}, knob: "cgroup memory limit",
			value: "1.0 GiB, 1004 MiB free", fix: "echo 4484759552 | sudo tee /sys/fs/cgroup/memory/apps/memory.limit_in_bytes",
		},
		"connection tracking": {
			box: router(), target: Target{Connections: million}, knob: "net.netfilter.nf_conntrack_max",
			value: "262144", fix: "sudo sysctl -w net.netfilter.nf_conntrack_max=2001200",
		},
		"connection tracking buckets": {
			box: router(), target: Target{Connections: million}, knob: "net.netfilter.nf_conntrack_buckets",
			value: "65536", fix: "echo 524288 | sudo tee /sys/module/nf_conntrack/parameters/hashsize",
		},
		"output buffer of Redis": {
			box: starved, target: Target{Connections: 1000}, knob: "redis client-output-buffer-limit pubsub",
			value: "33554432 8388608 60", fix: `redis-cli CONFIG SET client-output-buffer-limit "pubsub 104857600 31457280 60"`,
		},
		"clients of Redis": {
			box: starved, target: Target{Connections: 1000}, knob: "redis maxclients",
			value: "768", fix: "redis-cli CONFIG SET maxclients 10000",
		},
		"slow clock beside a fast one": {
			box:    laptop().with(map[string]string{clock + "current_clocksource": "hpet"}),
			target: Target{Connections: 1000}, knob: "clocksource",
			value: "hpet", fix: "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
		},
		"no fast clock": {
			box: laptop().with(map[string]string{
				clock + "current_clocksource": "acpi_pm", clock + "available_clocksource": "acpi_pm",
			}),
			target: Target{Connections: 1000}, knob: "clocksource",
			value: "acpi_pm",
			fix:   `sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&tsc=reliable clocksource=tsc /' /etc/default/grub && sudo update-grub && sudo reboot`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := find(t, Run(tt.box.env(), tt.target), tt.knob)
			if f.Verdict != Fix {
				t.Errorf("verdict %s, want FIX", f.Verdict)
			}
			if f.Value != tt.value {
				t.Errorf("value %q, want %q", f.Value, tt.value)
			}
			if f.Fix != tt.fix {
				t.Errorf("fix  %s\nwant %s", f.Fix, tt.fix)
			}
		})
	}
}

// Whatever a finding says must fit the table of a terminal and be complete.
func TestFindingsAreComplete(t *testing.T) {
	boxes := map[string]box{"laptop": laptop(), "server": server(), "container": container(), "router": router()}
	envs := map[string]Env{"nothing known": {}, "this box": Host()}
	for name, b := range boxes {
		envs[name] = b.env()
	}
	for _, name := range slices.Sorted(maps.Keys(envs)) {
		for _, side := range []Side{Server, Client, Both} {
			for _, n := range []int{1, 1000, 1_000_000, 100_000_000} {
				for _, f := range Run(envs[name], Target{Connections: n, Side: side}).Findings {
					switch {
					case f.Name == "" || f.Side == "" || f.Why == "" || f.Needed == "":
						t.Errorf("%s: incomplete: %+v", name, f)
					case strings.ContainsAny(f.Why+f.Fix+f.Value, "\n\t"):
						t.Errorf("%s: more than a line: %+v", name, f)
					case (f.Verdict == Fix || f.Verdict == Warn) && f.Fix == "":
						t.Errorf("%s: no command: %+v", name, f)
					case f.Verdict == Pass && (f.Fix != "" || f.Value == ""):
						t.Errorf("%s: PASS with a command or without a value: %+v", name, f)
					case side != Both && f.Side != side:
						t.Errorf("%s: %s is not for the %s side", name, f.Name, side)
					}
				}
			}
		}
	}
}

// A box of which nothing is known gives no verdict.
func TestZeroEnv(t *testing.T) {
	r := Run(Env{}, Target{Connections: 1_000_000, Side: Both})
	if got := len(verdicts(r, Skip)); got != len(knobs()) {
		t.Errorf("%d of %d skipped: %+v", got, len(knobs()), r.Findings)
	}
}

// The box that runs the test has all of /proc and no Redis.
func TestThisBox(t *testing.T) {
	r := Run(Host(), Target{Connections: 100_000_000})
	for _, name := range []string{"RLIMIT_NOFILE hard", "MemAvailable"} {
		if f := find(t, r, name); f.Value == "" || f.Verdict == Skip {
			t.Errorf("%s was not read: %+v", name, f)
		}
	}
	if f := find(t, r, "redis maxclients"); f.Verdict != Skip {
		t.Errorf("Redis without a server: %+v", f)
	}
	if r.OK() {
		t.Error("a hundred million connections fit")
	}
}

func TestParseSide(t *testing.T) {
	for in, want := range map[string]Side{"": Server, "server": Server, "client": Client, "both": Both} {
		if got, err := ParseSide(in); got != want || err != nil {
			t.Errorf("ParseSide(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	if _, err := ParseSide("Server"); err == nil {
		t.Error("ParseSide takes Server")
	}
}
