package preflight

import (
	"errors"
	"maps"
	"strings"
	"testing/fstest"
)

// box is a synthetic machine: the files of /proc and /sys by path, and the
// answers of system calls and of Redis.
type box struct {
	files      map[string]string
	soft, hard uint64
	synced     bool
	redis      map[string]string // nil: none
}

func (b box) env() Env {
	root := fstest.MapFS{}
	for name, text := range b.files {
		root[name] = &fstest.MapFile{Data: []byte(text + "\n"), Mode: 0o444}
	}
	e := Env{
		FS:          root,
		Descriptors: func() (uint64, uint64, error) { return b.soft, b.hard, nil },
		ClockSynced: func() (bool, error) { return b.synced, nil },
	}
	if b.redis != nil {
		e.Redis = func(name string) (string, error) {
			if v, ok := b.redis[name]; ok {
				return v, nil
			}
			return "", &RedisError{errors.New("ERR unknown command 'CONFIG'")}
		}
	}
	return e
}

// with returns the box with some files replaced; "" removes one.
func (b box) with(files map[string]string) box {
	b.files = maps.Clone(b.files)
	for name, text := range files {
		if text == "" {
			delete(b.files, name)
		} else {
			b.files[name] = text
		}
	}
	return b
}

// sysctl applies lines of a sysctl.conf as sysctl(8) does: a leading minus
// lets a line fail whose key the kernel doesn't have.
func (b box) sysctl(conf string) (box, error) {
	set := map[string]string{}
	for line := range strings.Lines(conf) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, " = ")
		if !ok {
			return b, errors.New("malformed line: " + line)
		}
		optional := name[0] == '-'
		file := sysctlPath(strings.TrimPrefix(name, "-"))
		if _, known := b.files[file]; !known && !optional {
			return b, errors.New("unknown key: " + name)
		} else if known {
			set[file] = value
		}
	}
	return b.with(set), nil
}

// laptop is a Debian 12 laptop with 8 GB, freshly installed.
func laptop() box {
	return box{
		files: map[string]string{
			"proc/sys/fs/nr_open":                                               "1073741816",
			"proc/sys/fs/file-max":                                              "9223372036854775807",
			"proc/sys/fs/file-nr":                                               "8736	0	9223372036854775807",
			"proc/sys/fs/epoll/max_user_watches":                                "1803026",
			"proc/sys/net/core/somaxconn":                                       "4096",
			"proc/sys/net/ipv4/tcp_max_syn_backlog":                             "512",
			"proc/sys/net/ipv4/tcp_syncookies":                                  "1",
			"proc/sys/net/ipv4/tcp_mem":                                         "92862	123816	185724",
			"proc/sys/net/ipv4/tcp_wmem":                                        "4096	16384	4194304",
			"proc/sys/net/ipv4/tcp_rmem":                                        "4096	131072	6291456",
			"proc/sys/net/ipv4/ip_local_port_range":                             "32768	60999",
			"proc/sys/net/ipv4/ip_local_reserved_ports":                         "",
			"proc/sys/net/ipv4/tcp_tw_reuse":                                    "2",
			"proc/meminfo":                                                      "MemTotal:        8000000 kB\nMemFree:         1200000 kB\nMemAvailable:    5500000 kB",
			"proc/self/cgroup":                                                  "0::/user.slice/user-1000.slice/session-2.scope",
			"sys/fs/cgroup/user.slice/memory.max":                               "max",
			"sys/fs/cgroup/user.slice/memory.high":                              "max",
			"sys/devices/system/clocksource/clocksource0/current_clocksource":   "tsc",
			"sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm",
		},
		soft: 1024, hard: 1048576, synced: true,
	}
}

// server is a machine with 64 GB that was made ready for a million clients.
func server() box {
	b := laptop().with(map[string]string{
		"proc/sys/fs/epoll/max_user_watches":        "14500000",
		"proc/sys/net/core/somaxconn":               "65535",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":     "65536",
		"proc/sys/net/ipv4/tcp_mem":                 "768000	1024000	1536000",
		"proc/sys/net/ipv4/ip_local_port_range":     "1024	65535",
		"proc/sys/net/ipv4/ip_local_reserved_ports": "6379,8080-8081",
		"proc/sys/net/ipv4/tcp_tw_reuse":            "1",
		"proc/meminfo":                              "MemTotal:       65000000 kB\nMemAvailable:   61000000 kB",
		"proc/self/cgroup":                          "0::/system.slice/gateway.service",
	})
	b.redis = map[string]string{
		"client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 268435456 67108864 60",
		"maxclients":                 "10000",
	}
	return b
}

// container has 512 MiB in a cgroup of version 2, which it sees at the root,
// and a network namespace of its own, in which some sysctls don't exist.
func container() box {
	b := server().with(map[string]string{
		"proc/sys/net/ipv4/tcp_mem":    "",
		"proc/sys/net/core/somaxconn":  "4096",
		"proc/self/cgroup":             "0::/",
		"sys/fs/cgroup/memory.max":     "536870912",
		"sys/fs/cgroup/memory.high":    "max",
		"sys/fs/cgroup/memory.current": "41943040",
		"sys/fs/cgroup/memory.stat":    "anon 20971520\nfile 20971520\ninactive_file 20971520",
	})
	b.hard = 524288
	b.redis = map[string]string{} // a managed one: CONFIG is forbidden
	return b
}

// router is the server with connection tracking in the kernel.
func router() box {
	return server().with(map[string]string{
		"proc/sys/net/netfilter/nf_conntrack_max":     "262144",
		"proc/sys/net/netfilter/nf_conntrack_buckets": "65536",
		"proc/sys/net/netfilter/nf_conntrack_count":   "1200",
	})
}
