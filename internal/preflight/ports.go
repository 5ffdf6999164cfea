package preflight

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	lowestPort  = 1024
	quietPort   = 10240 // services that listen on a fixed port mostly do so below
	highestPort = 65535
)

// tuples is the number of (source, destination) pairs, each of which has the
// whole port range to itself.
func (t Target) tuples() int64 { return int64(t.SourceAddresses) * int64(t.Destinations) }

// portRange is the setting for a box that reserves no ports.
func portRange(t Target) string { return widened(t, "") }

// widened is the range that starts above the usual listeners where that is
// enough, else the widest there is.
func widened(t Target, reserved string) string {
	if usable(quietPort, highestPort, reserved)*t.tuples() >= int64(t.Connections) {
		return spaced(quietPort, highestPort)
	}
	return spaced(lowestPort, highestPort)
}

// usable counts the ports of [low, high] that are not reserved.
func usable(low, high int64, reserved string) int64 {
	return max(high-low+1-reservedWithin(reserved, low, high), 0)
}

func checkPorts(k knob, e Env, t Target) Finding {
	needed := fmt.Sprintf("%d x %d", ceil(int64(t.Connections), t.tuples()), t.tuples())
	have, err := e.numbers(sysctlPath(k.name), 2)
	if err != nil {
		return skipped(needed, err)
	}
	// No reserved list means that nothing is reserved.
	reserved, _ := e.read(sysctlPath("net.ipv4.ip_local_reserved_ports"))
	ports := usable(have[0], have[1], reserved)
	f := Finding{
		Value:   fmt.Sprintf("%d x %d (%d-%d)", ports, t.tuples(), have[0], have[1]),
		Needed:  needed,
		Verdict: verdict(ports*t.tuples() >= int64(t.Connections)),
		Setting: widened(t, reserved),
	}
	widest := usable(lowestPort, highestPort, reserved)
	if f.Verdict == Pass || widest*t.tuples() >= int64(t.Connections) {
		return f
	}
	if widest == 0 {
		f.Why = "net.ipv4.ip_local_reserved_ports leaves no port to connect from"
		f.Fix = sysctlCommand("net.ipv4.ip_local_reserved_ports", `""`)
		return f
	}
	// No range is wide enough for so few pairs.
	sources := ceil(int64(t.Connections), widest*int64(t.Destinations))
	f.Why = fmt.Sprintf("one port a connection for each (source, destination) pair: %d sources needed", sources)
	f.Fix = sysctlCommand(k.name, f.Setting) + " && " + addSources(t, sources)
	return f
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// addSources gives the box its further source addresses. Which network and
// device they belong to only the operator knows: the shell refuses the command
// until NET and DEV are set. Loopback needs no more addresses, since all of
// 127.0.0.0/8 can be bound already: there only the count is told.
func addSources(t Target, sources int64) string {
	recheck := fmt.Sprintf("gateway doctor --target %d --side %s --sources %d", t.Connections, t.Side, sources)
	if t.Side == Both {
		return recheck
	}
	const address = "${NET:?such as 10.99}.$((i/250)).$((i%250+1))/16 dev ${DEV:?such as eth0}"
	return fmt.Sprintf("for i in $(seq %d); do sudo ip address add %s; done && %s", sources, address, recheck)
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
		if errA != nil || errB != nil {
			continue
		}
		n += max(min(b, high)-max(a, low)+1, 0)
	}
	return n
}
