package preflight

import (
	"fmt"
	"strconv"
	"strings"
)

// knob is one row of the table.
type knob struct {
	name string
	side Side
	// why is one line for the report: the damage where it is too small.
	why string
	// formula derives the needed value and names its sources: for the generated
	// files and the manual.
	formula string
	// check compares the box with the target. It fills in value, needed and
	// verdict, and any deviation from the row's own why, setting and fix.
	check func(k knob, e Env, t Target) Finding
	// setting is the value for sysctl.conf; nil when the knob is no sysctl.
	setting func(t Target) string
	// fix is the command for a knob that is not turned by its setting.
	fix func(e Env, t Target) string
	// unit is the line for the systemd snippet; nil when there is none.
	unit func(t Target) string
}

// run checks the knob and completes the finding from the row.
func (k knob) run(e Env, t Target) Finding {
	f := k.check(k, e, t)
	f.Name, f.Side = k.name, k.side
	if k.side == Both {
		f.Side = t.Side
	}
	f.lasting = k.setting != nil || k.unit != nil
	if f.Why == "" {
		f.Why = k.why
	}
	if f.Setting == "" && k.setting != nil {
		f.Setting = k.setting(t)
	}
	switch {
	case f.Verdict != Fix || f.Fix != "":
	case k.fix != nil:
		f.Fix = k.fix(e, t)
	case f.Setting != "":
		f.Fix = sysctlCommand(k.name, f.Setting)
	}
	return f
}

// sysctlCommand sets a sysctl until the next boot.
func sysctlCommand(name, value string) string {
	if strings.ContainsRune(value, ' ') {
		value = strconv.Quote(value)
	}
	return fmt.Sprintf("sudo sysctl -w %s=%s", name, value)
}

// found is the finding for a value; with an error it was not read.
func found(value, needed string, ok bool, err error) Finding {
	switch {
	case err != nil:
		return Finding{Verdict: Skip, Needed: needed, Why: unreadable(err)}
	case ok:
		return Finding{Verdict: Pass, Value: value, Needed: needed}
	}
	return Finding{Verdict: Fix, Value: value, Needed: needed}
}

// sysctl checks the first n numbers of the knob's own file.
func (k knob) sysctl(e Env, n int, needed string, ok func(have []int64) bool) Finding {
	have, err := e.numbers(sysctlPath(k.name), n)
	return found(spaced(have...), needed, err == nil && ok(have), err)
}

// atLeast checks a sysctl whose first number has to reach want.
func atLeast(want func(Env, Target) int64) func(knob, Env, Target) Finding {
	return func(k knob, e Env, t Target) Finding {
		needed := want(e, t)
		return k.sysctl(e, 1, decimal(needed), func(have []int64) bool { return have[0] >= needed })
	}
}

// settingOf is a setting for a box of which nothing is known, with some room.
func settingOf(want func(Env, Target) int64, room func(int64) int64) func(Target) string {
	return func(t Target) string { return decimal(room(want(Env{}, t))) }
}

// constant is a setting that does not depend on the target.
func constant(s string) func(Target) string {
	return func(Target) string { return s }
}

// decimal writes n; the largest number stands for the absence of a limit.
func decimal(n int64) string {
	if n == 1<<63-1 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// spaced writes numbers the way sysctl takes them.
func spaced(n ...int64) string {
	s := make([]string, len(n))
	for i, v := range n {
		s[i] = decimal(v)
	}
	return strings.Join(s, " ")
}

// powerOfTwo returns rounding up to a power of two that is not below least.
func powerOfTwo(least int64) func(int64) int64 {
	return func(n int64) int64 {
		p := least
		for p < n {
			p <<= 1
		}
		return p
	}
}

// knobs returns the table, in the order in which the knobs have to be turned:
// the hard limit of a process can't be raised above fs.nr_open.
func knobs() []knob {
	return []knob{
		{
			name:    "fs.nr_open",
			side:    Both,
			why:     "RLIMIT_NOFILE of a process can't be set above it",
			formula: "N + 512 (listeners, epolls, Redis, admin). setrlimit(2) refuses more than fs.nr_open. The value set is systemd's own, so that the file never lowers it; it costs nothing.",
			check:   atLeast(descriptors),
			setting: constant("1073741816"),
		},
		{
			name:    "fs.file-max",
			side:    Both,
			why:     "the whole box shares it; beyond it accept fails with ENFILE",
			formula: "sockets on the box + 512 for each process + what is open now (the first number of fs.file-nr). A socket is an open file. The value set is systemd's own, so that the file never lowers it.",
			check:   atLeast(allOpenFiles),
			setting: constant("9223372036854775807"),
		},
		{
			name:    "RLIMIT_NOFILE hard",
			side:    Both,
			why:     "one descriptor a connection; beyond it accept fails with EMFILE",
			formula: "N + 512. Each connection is one descriptor of one process (getrlimit(2)).",
			check:   checkHardLimit,
			fix:     raiseLimit,
			unit:    func(t Target) string { return "LimitNOFILE=" + decimal(descriptors(Env{}, t)) },
		},
		{
			name:    "RLIMIT_NOFILE soft",
			side:    Both,
			why:     "the process raises it to the hard limit at its start",
			formula: "N + 512, reached by the process itself when the hard limit allows it.",
			check:   checkSoftLimit,
			fix:     raiseLimit,
		},
		{
			name:    "fs.epoll.max_user_watches",
			side:    Both,
			why:     "one epoll watch a connection, counted per user; then ENOSPC",
			formula: "sockets on the box + 512 for each process. The kernel's default lets watches fill 4 % of low memory (fs/eventpoll.c), which is about 225,000 for each GiB: enough for a million from 5 GiB on.",
			check:   atLeast(openFiles),
			setting: settingOf(openFiles, func(n int64) int64 { return n }),
		},
		{
			name:    "net.core.somaxconn",
			side:    Server,
			why:     "caps the accept queue; an overflow drops handshakes, retried after 1 s",
			formula: "the arrivals of one second while all clients reconnect, N / 30 s, at least 128 and at most 65535. The queue holds only what accept has not fetched yet, so it follows the rate of arrival and not N. listen(2) cuts the backlog to it.",
			check:   atLeast(acceptQueue),
			setting: settingOf(acceptQueue, func(n int64) int64 { return min(powerOfTwo(4096)(n), maxAcceptQueue) }),
		},
		{
			name:    "net.ipv4.tcp_max_syn_backlog",
			side:    Server,
			why:     "half-open connections are refused beyond it",
			formula: "as somaxconn, and a third more: without SYN cookies the kernel keeps the last quarter for proven peers (tcp_conn_request in net/ipv4/tcp_input.c). With tcp_syncookies on it is not consulted; somaxconn then bounds the half-open queue too.",
			check:   checkSynBacklog,
			setting: settingOf(synQueue, powerOfTwo(4096)),
		},
		{
			name:    "net.ipv4.tcp_mem",
			side:    Both,
			why:     "pages for all TCP buffers; under pressure the kernel shrinks windows",
			formula: "the second number: one page for each socket. Buffers are charged in whole pages (__sk_mem_raise_allocated in net/core/sock.c), so a message to everybody charges one page on each socket until it is acknowledged. The first and third keep the kernel's ratio of 3/4 and 3/2. The default is sized from memory and reaches a million pages at about 64 GB: leave the line out where it is larger.",
			check:   checkTCPMem,
			setting: func(t Target) string { n := t.sockets(); return spaced(n*3/4, n, n*3/2) },
		},
		{
			name:    "net.ipv4.tcp_wmem",
			side:    Server,
			why:     "a client that stops reading pins up to its third number in the kernel",
			formula: "no matter when socket.send_buffer sets SO_SNDBUF (16 KiB holds a stuck client to 80 KB); else the third number at most 262144, the gateway's own limits.queue_bytes.",
			check:   checkSendBuffer,
			fix:     func(Env, Target) string { return "gateway serve --socket.send_buffer=16384" },
		},
		{
			name:    "net.ipv4.tcp_rmem",
			side:    Server,
			why:     "what a client may send ahead of being read, times N",
			formula: "no matter when socket.receive_buffer sets SO_RCVBUF; else the second number, the window each connection starts with, at most 131072, the kernel's default. It is a bound and is not allocated for an idle connection.",
			check:   checkReceiveBuffer,
		},
		{
			name:    "net.ipv4.ip_local_port_range",
			side:    Client,
			why:     "one port a connection for each (source, destination) pair; then EADDRNOTAVAIL",
			formula: "N <= source addresses x destination address:port pairs x ports, less ip_local_reserved_ports: a connection is named by its four-tuple, so ports are reused across sources and destinations when IP_BIND_ADDRESS_NO_PORT is set before bind (ip(7)). The range starts above the ports that services listen on where that is enough.",
			check:   checkPorts,
			setting: func(t Target) string { return portRange(t, "") },
		},
		{
			name:    "net.ipv4.tcp_tw_reuse",
			side:    Client,
			why:     "closed connections hold their port for 60 s; a second run has too few",
			formula: "1. Ports in TIME-WAIT can be taken again after a second when timestamps are on; 2, the default, does so on loopback only (ip-sysctl).",
			check:   checkTimeWait,
			setting: constant("1"),
		},
		{
			name:    "net.netfilter.nf_conntrack_max",
			side:    Both,
			why:     "a full table drops new connections for every service on the box",
			formula: "2 N + what it holds now: one entry a connection, and a closed one stays for nf_conntrack_tcp_timeout_time_wait (120 s) beside that of the client that came back. Only where connection tracking is loaded; the minus lets the file pass elsewhere.",
			check:   tracked(allConntrackEntries),
			setting: settingOf(conntrackEntries, func(n int64) int64 { return max(n, 262144) }),
		},
		{
			name:    "net.netfilter.nf_conntrack_buckets",
			side:    Both,
			why:     "longer hash chains cost CPU on every packet",
			formula: "a quarter of the entries, the kernel's ratio for large tables (nf_conntrack-sysctl).",
			check:   tracked(conntrackBuckets),
			setting: settingOf(conntrackBuckets, powerOfTwo(65536)),
			fix: func(_ Env, t Target) string {
				return fmt.Sprintf("echo %d | sudo tee %s", powerOfTwo(65536)(conntrackBuckets(Env{}, t)), hashsize)
			},
		},
		{
			name:    "MemAvailable",
			side:    Both,
			why:     "memory for N idle connections",
			formula: "64 MiB for each process + N x (300 B in user space, 460 B with TLS, + 4096 B in the kernel) on each end, + 320 B where connection tracking is loaded. Measured with idle connections; queues for slow clients come on top, up to their own limit.",
			check:   checkMemory,
			fix:     carryLess,
		},
		{
			name:    "cgroup memory limit",
			side:    Both,
			why:     "the kernel's socket memory counts against it too; beyond it the process is killed",
			formula: "as MemAvailable, against the tightest limit between the process's own cgroup and the root (memory.max and memory.high in version 2, memory.limit_in_bytes in version 1), less what is used and can't be reclaimed.",
			check:   checkCgroup,
			fix:     raiseCgroup,
		},
		{
			name:    "redis client-output-buffer-limit pubsub",
			side:    Server,
			why:     "Redis cuts off a subscriber whose output exceeds it; plain messages are lost",
			formula: "hard: 10 s of what is published to this gateway, soft: 3 s, the time in which the liveness probe notices a stall; at 10 MiB a second. 0 is no limit.",
			check:   checkRedisOutput,
			fix:     raiseRedisOutput,
		},
		{
			name:    "redis maxclients",
			side:    Server,
			why:     "Redis refuses connections beyond it, also after a failover",
			formula: "1000: a gateway holds some tens of connections, twice that during a rolling restart, and the publishers need theirs. Redis lowers it itself when its own descriptor limit is short, and CONFIG GET shows the lowered value.",
			check:   checkRedisClients,
			fix:     func(Env, Target) string { return "redis-cli CONFIG SET maxclients 10000" },
		},
		{
			name:    "clocksource",
			side:    Both,
			why:     "a slow one makes each reading of the time a system call or a device access",
			formula: "one that is read in user space (vDSO): tsc, kvm-clock, hyperv_clocksource_tsc_page, arch_sys_counter. hpet and acpi_pm cost 0.5 to 1 us a reading.",
			check:   checkClocksource,
			fix:     fixClock,
		},
		{
			name:    "clock synchronised",
			side:    Server,
			why:     "tokens expire by this clock",
			formula: "adjtimex(2) does not say TIME_ERROR. It limits no connections, hence WARN and never FIX: a virtual machine may be kept right by its host without the kernel knowing.",
			check:   checkClockSync,
		},
	}
}
