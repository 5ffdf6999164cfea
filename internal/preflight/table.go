package preflight

import "strconv"

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
			check:   checkFileMax,
			setting: constant("9223372036854775807"),
		},
		{
			name:    "RLIMIT_NOFILE hard",
			side:    Both,
			why:     "one descriptor a connection; beyond it accept fails with EMFILE",
			formula: "N + 512. Each connection is one descriptor of one process (getrlimit(2)).",
			check:   checkHardLimit,
			unit:    func(t Target) string { return "LimitNOFILE=" + strconv.FormatInt(descriptors(t), 10) },
		},
		{
			name:    "RLIMIT_NOFILE soft",
			side:    Both,
			why:     "the process raises it to the hard limit at its start",
			formula: "N + 512, reached by the process itself when the hard limit allows it.",
			check:   checkSoftLimit,
		},
		{
			name:    "fs.epoll.max_user_watches",
			side:    Both,
			why:     "one epoll watch a connection, counted per user; then ENOSPC",
			formula: "sockets on the box + 512 for each process. The kernel's default lets watches fill 4 % of low memory (fs/eventpoll.c), which is about 225,000 for each GiB: enough for a million from 5 GiB on.",
			check:   atLeast(openFiles),
			setting: func(t Target) string { return strconv.FormatInt(openFiles(t), 10) },
		},
		{
			name:    "net.core.somaxconn",
			side:    Server,
			why:     "caps the accept queue; an overflow drops handshakes, retried after 1 s",
			formula: "the arrivals of one second while all clients reconnect, N / 30 s, at least 128 and at most 65535. The queue holds only what accept has not fetched yet, so it follows the rate of arrival and not N. listen(2) cuts the backlog to it.",
			check:   atLeast(acceptQueue),
			setting: func(t Target) string {
				return strconv.FormatInt(min(max(roundUp(acceptQueue(t)), 4096), maxAcceptQueue), 10)
			},
		},
		{
			name:    "net.ipv4.tcp_max_syn_backlog",
			side:    Server,
			why:     "half-open connections are refused beyond it",
			formula: "as somaxconn, and a third more: without SYN cookies the kernel keeps the last quarter for proven peers (tcp_conn_request in net/ipv4/tcp_input.c). With tcp_syncookies on it is not consulted; somaxconn then bounds the half-open queue too.",
			check:   checkSynBacklog,
			setting: func(t Target) string {
				return strconv.FormatInt(max(roundUp(synQueue(t)), 4096), 10)
			},
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
			setting: portRange,
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
			check:   checkConntrack,
			setting: func(t Target) string { return strconv.FormatInt(max(conntrackEntries(t), 262144), 10) },
		},
		{
			name:    "net.netfilter.nf_conntrack_buckets",
			side:    Both,
			why:     "longer hash chains cost CPU on every packet",
			formula: "a quarter of the entries, the kernel's ratio for large tables (nf_conntrack-sysctl).",
			check:   checkConntrackBuckets,
			setting: func(t Target) string { return strconv.FormatInt(max(roundUp(conntrackEntries(t)/4), 65536), 10) },
		},
		{
			name:    "MemAvailable",
			side:    Both,
			why:     "memory for N idle connections",
			formula: "64 MiB for each process + N x (300 B in user space + 4096 B in the kernel) on each end, + 320 B where connection tracking is loaded. Measured with idle connections; queues for slow clients come on top, up to their own limit.",
			check:   checkMemory,
		},
		{
			name:    "cgroup memory limit",
			side:    Both,
			why:     "the kernel's socket memory counts against it too; beyond it the process is killed",
			formula: "as MemAvailable, against the tightest limit between the process's own cgroup and the root (memory.max and memory.high in version 2, memory.limit_in_bytes in version 1), less what is used and can't be reclaimed.",
			check:   checkCgroup,
		},
		{
			name:    "redis client-output-buffer-limit pubsub",
			side:    Server,
			why:     "Redis cuts off a subscriber whose output exceeds it; plain messages are lost",
			formula: "hard: 10 s of what is published to this gateway, soft: 3 s, the time in which the liveness probe notices a stall; at 10 MiB a second. 0 is no limit.",
			check:   checkRedisOutput,
		},
		{
			name:    "redis maxclients",
			side:    Server,
			why:     "Redis refuses connections beyond it, also after a failover",
			formula: "1000: a gateway holds some tens of connections, twice that during a rolling restart, and the publishers need theirs. Redis lowers it itself when its own descriptor limit is short, and CONFIG GET shows the lowered value.",
			check:   checkRedisClients,
		},
		{
			name:    "clocksource",
			side:    Both,
			why:     "a slow one makes each reading of the time a system call or a device access",
			formula: "one that is read in user space (vDSO): tsc, kvm-clock, hyperv_clocksource_tsc_page, arch_sys_counter. hpet and acpi_pm cost 0.5 to 1 us a reading.",
			check:   checkClocksource,
		},
		{
			name:    "clock synchronised",
			side:    Server,
			why:     "tokens expire by this clock",
			formula: "adjtimex(2) does not say TIME_ERROR. It limits no connections, hence never FIX: a virtual machine may be kept right by its host without the kernel knowing.",
			check:   checkClockSync,
		},
	}
}

// constant is a setting that does not depend on the target.
func constant(s string) func(Target) string {
	return func(Target) string { return s }
}
