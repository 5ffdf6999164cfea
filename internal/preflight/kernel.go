package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// descriptors is the number of files that one process opens.
func descriptors(_ Env, t Target) int64 { return int64(t.Connections) + DescriptorReserve }

// openFiles is the number that our processes on the box open together.
func openFiles(_ Env, t Target) int64 { return t.sockets() + t.ends()*DescriptorReserve }

// allOpenFiles adds the files that are open now; without file-nr the rest of
// the box is taken for idle.
func allOpenFiles(e Env, t Target) int64 {
	open, _ := e.number(sysctlPath("fs.file-nr"))
	return openFiles(e, t) + open
}

func checkHardLimit(_ knob, e Env, t Target) Finding {
	needed := descriptors(e, t)
	_, hard, err := e.limits()
	return found(decimal(hard), decimal(needed), hard >= needed, err)
}

// checkSoftLimit passes wherever the hard limit does: a soft limit is no
// obstacle to a process that raises it.
func checkSoftLimit(_ knob, e Env, t Target) Finding {
	needed := descriptors(e, t)
	soft, hard, err := e.limits()
	f := found(decimal(soft), decimal(needed), max(soft, hard) >= needed, err)
	switch {
	case f.Verdict == Skip:
	case soft >= needed:
		f.Why = "enough from the start"
	case f.Verdict == Fix:
		f.Why = "the hard limit keeps the process from raising it"
	}
	return f
}

// raiseLimit raises both limits of the shell that starts the process; under
// systemd the generated snippet does it.
func raiseLimit(e Env, t Target) string {
	return fmt.Sprintf("sudo prlimit --pid $$ --nofile=%d:%[1]d", descriptors(e, t))
}

const (
	maxAcceptQueue = 65535
	minAcceptQueue = 128
	// maxSendBuffer is limits.queue_bytes' default: the kernel should not
	// hold more for a stuck client than the gateway itself does.
	maxSendBuffer = 256 << 10
	// maxReceiveBuffer is the kernel's own default for tcp_rmem[1].
	maxReceiveBuffer = 128 << 10
)

// acceptQueue is the number of connections that may wait for accept: the arrivals of one second
// while all clients reconnect.
func acceptQueue(_ Env, t Target) int64 {
	ms := max(t.ReconnectWindow.Milliseconds(), 1)
	return min(max(ceil(int64(t.Connections)*1000, ms), minAcceptQueue), maxAcceptQueue)
}

// synQueue leaves room for the quarter that is kept for proven peers.
func synQueue(e Env, t Target) int64 { return (acceptQueue(e, t)*4 + 2) / 3 }

func checkSynBacklog(k knob, e Env, t Target) Finding {
	f := atLeast(synQueue)(k, e, t)
	if cookies, err := e.number(sysctlPath("net.ipv4.tcp_syncookies")); f.Verdict == Fix && err == nil && cookies > 0 {
		f.Verdict, f.Why = Pass, "not consulted while tcp_syncookies is on"
	}
	return f
}

func checkTCPMem(k knob, e Env, t Target) Finding {
	return k.sysctl(e, 3, "pressure "+decimal(t.sockets()), func(have []int64) bool { return have[1] >= t.sockets() })
}

func checkSendBuffer(k knob, e Env, t Target) Finding {
	if t.SendBuffer > 0 {
		return buffered("SO_SNDBUF", t.SendBuffer, "socket.send_buffer overrides tcp_wmem on every connection")
	}
	return k.sysctl(e, 3, fmt.Sprintf("SO_SNDBUF, or max %d", maxSendBuffer), func(have []int64) bool { return have[2] <= maxSendBuffer })
}

func checkReceiveBuffer(k knob, e Env, t Target) Finding {
	if t.ReceiveBuffer > 0 {
		return buffered("SO_RCVBUF", t.ReceiveBuffer, "socket.receive_buffer overrides tcp_rmem on every connection")
	}
	setting := ""
	f := k.sysctl(e, 3, fmt.Sprintf("default <= %d", maxReceiveBuffer), func(have []int64) bool {
		setting = spaced(have[0], maxReceiveBuffer, have[2]) // the bounds for other services stay as they are
		return have[1] <= maxReceiveBuffer
	})
	if f.Verdict == Fix {
		f.Setting = setting
	}
	return f
}

// buffered is the finding for a buffer that the gateway sets on each socket.
func buffered(option string, size int, why string) Finding {
	f := found(fmt.Sprintf("%s %d", option, size), option+" set", true, nil)
	f.Why = why
	return f
}

// checkTimeWait wants 1; on a box with both ends the connections run over
// loopback, which 2 covers.
func checkTimeWait(k knob, e Env, t Target) Finding {
	needed := "1"
	if t.Side == Both {
		needed = "1 or 2"
	}
	return k.sysctl(e, 1, needed, func(have []int64) bool { return have[0] == 1 || have[0] == 2 && t.Side == Both })
}

// hashsize is where the number of buckets can be written on every kernel; the
// sysctl is read-only before Linux 4.7.
const hashsize = "/sys/module/nf_conntrack/parameters/hashsize"

// conntrackEntries is the number of our entries in the table: a closed connection stays beside
// the new one of a reconnected client. A connection over loopback is one entry for both of its
// ends.
func conntrackEntries(_ Env, t Target) int64 { return 2 * int64(t.Connections) }

func allConntrackEntries(e Env, t Target) int64 {
	tracked, _ := e.number(sysctlPath("net.netfilter.nf_conntrack_count"))
	return conntrackEntries(e, t) + tracked
}

func conntrackBuckets(e Env, t Target) int64 { return conntrackEntries(e, t) / 4 }

// conntrackLoaded reports whether connection tracking is in the kernel.
func (e Env) conntrackLoaded() bool {
	_, err := e.read(sysctlPath("net.netfilter.nf_conntrack_max"))
	return err == nil
}

// tracked checks a knob of connection tracking, where there is any.
func tracked(want func(Env, Target) int64) func(knob, Env, Target) Finding {
	return func(k knob, e Env, t Target) Finding {
		f := atLeast(want)(k, e, t)
		switch {
		case !e.conntrackLoaded():
			f.Why = "connection tracking is not loaded"
		case f.Verdict == Fix && k.fix == nil:
			f.Setting = f.Needed // entries are counted on this box
		}
		return f
	}
}

const (
	lowestPort  = 1024
	quietPort   = 10240 // services that listen on a fixed port mostly do so below
	highestPort = 65535
)

// tuples is the number of (source, destination) pairs, each of which has the
// whole port range to itself.
func (t Target) tuples() int64 { return int64(t.SourceAddresses) * int64(t.Destinations) }

// portRange is the range that starts above the usual listeners where that is
// enough, else the widest there is.
func portRange(t Target, reserved string) string {
	if usable(quietPort, highestPort, reserved)*t.tuples() >= int64(t.Connections) {
		return spaced(quietPort, highestPort)
	}
	return spaced(lowestPort, highestPort)
}

// usable counts the ports of [low, high] that are not reserved.
func usable(low, high int64, reserved string) int64 {
	return max(high-low+1-reservedWithin(reserved, low, high), 0)
}

// LocalPorts is the number of ports that each source address has; 0 when that
// can't be read.
func (e Env) LocalPorts() int {
	have, err := e.numbers(sysctlPath("net.ipv4.ip_local_port_range"), 2)
	if err != nil {
		return 0
	}
	return int(usable(have[0], have[1], ""))
}

func checkPorts(k knob, e Env, t Target) Finding {
	needed := fmt.Sprintf("%d x %d", ceil(int64(t.Connections), t.tuples()), t.tuples())
	have, err := e.numbers(sysctlPath(k.name), 2)
	if err != nil {
		return found("", needed, false, err)
	}
	// No reserved list means that nothing is reserved.
	reserved, _ := e.read(sysctlPath("net.ipv4.ip_local_reserved_ports"))
	ports := usable(have[0], have[1], reserved)
	f := found(fmt.Sprintf("%d x %d (%d-%d)", ports, t.tuples(), have[0], have[1]), needed, ports*t.tuples() >= int64(t.Connections), nil)
	f.Setting = portRange(t, reserved)
	widest := usable(lowestPort, highestPort, reserved)
	switch {
	case f.Verdict == Pass || widest*t.tuples() >= int64(t.Connections):
	case widest == 0:
		f.Why = "net.ipv4.ip_local_reserved_ports leaves no port to connect from"
		f.Fix = sysctlCommand("net.ipv4.ip_local_reserved_ports", `""`)
	default: // no range is wide enough for so few pairs
		sources := ceil(int64(t.Connections), widest*int64(t.Destinations))
		f.Why = fmt.Sprintf("one port a connection for each (source, destination) pair: %d sources needed", sources)
		f.Fix = sysctlCommand(k.name, f.Setting) + " && " + addSources(t, sources)
	}
	return f
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// addSources gives the box its further source addresses. Only the operator knows their network
// and device: the shell refuses the command until NET and DEV are set. Loopback needs no more
// addresses, since all of 127.0.0.0/8 can be bound already: there only the count is reported.
func addSources(t Target, sources int64) string {
	t.SourceAddresses = int(sources)
	if t.Side == Both {
		return t.command()
	}
	const address = "${NET:?such as 10.99}.$((i/250)).$((i%250+1))/16 dev ${DEV:?such as eth0}"
	return fmt.Sprintf("for i in $(seq %d); do sudo ip address add %s; done && %s", sources, address, t.command())
}

// reservedWithin counts the ports of a list such as "8080,9000-9010" that lie
// in [low, high].
func reservedWithin(list string, low, high int64) int64 {
	var n int64
	for item := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseInt(first, 10, 64)
		b, errB := strconv.ParseInt(last, 10, 64)
		if errA == nil && errB == nil {
			n += max(min(b, high)-max(a, low)+1, 0)
		}
	}
	return n
}

const clocksourceDir = "/sys/devices/system/clocksource/clocksource0/"

// fastClocks are read in user space, slowClocks through a system call or from
// a device; any other is not judged.
var (
	fastClocks = []string{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource", "timebase", "tod"}
	slowClocks = []string{"acpi_pm", "hpet", "jiffies", "refined-jiffies", "pit", "xen"}
)

func checkClocksource(_ knob, e Env, _ Target) Finding {
	const needed = "tsc or kvm-clock"
	now, err := e.read(clocksourceDir + "current_clocksource")
	f := found(now, needed, slices.Contains(fastClocks, now), err)
	switch {
	case f.Verdict == Pass:
		f.Why = "read in user space, without a system call"
	case f.Verdict == Fix && !slices.Contains(slowClocks, now):
		f.Verdict, f.Why = Skip, "speed of this clock source is not known"
	}
	return f
}

// fixClock switches to the best source that the kernel trusts; where it trusts
// none, only the command line of the kernel can overrule it.
func fixClock(e Env, _ Target) string {
	available, _ := e.read(clocksourceDir + "available_clocksource")
	for _, c := range strings.Fields(available) {
		if slices.Contains(fastClocks, c) {
			return "echo " + c + " | sudo tee " + clocksourceDir + "current_clocksource"
		}
	}
	return `sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&tsc=reliable clocksource=tsc /' /etc/default/grub && sudo update-grub && sudo reboot`
}

func checkClockSync(_ knob, e Env, _ Target) Finding {
	const needed = "yes"
	if e.ClockSynced == nil {
		return Finding{Verdict: Skip, Needed: needed, Why: "can't be asked here"}
	}
	synced, err := e.ClockSynced()
	if err != nil || synced {
		return found("yes", needed, synced, err)
	}
	return Finding{
		Verdict: Warn, Value: "no", Needed: needed,
		Why: "the kernel knows of no NTP; fine if the host keeps the time, else tokens expire wrongly",
		Fix: "sudo timedatectl set-ntp true",
	}
}
