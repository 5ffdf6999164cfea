package preflight

import (
	"fmt"
	"strconv"
)

const (
	maxAcceptQueue = 65535
	minAcceptQueue = 128
	// maxSendBuffer is limits.queue_bytes' default: the kernel should not
	// hold more for a stuck client than the gateway itself does.
	maxSendBuffer = 256 << 10
	// maxReceiveBuffer is the kernel's own default for tcp_rmem[1].
	maxReceiveBuffer = 128 << 10
)

// acceptQueue is the number of connections that may wait for accept.
func acceptQueue(t Target) int64 {
	return min(max(t.burst(), minAcceptQueue), maxAcceptQueue)
}

// synQueue leaves room for the quarter that is kept for proven peers.
func synQueue(t Target) int64 { return (acceptQueue(t)*4 + 2) / 3 }

func checkSynBacklog(k knob, e Env, t Target) Finding {
	f := atLeast(synQueue)(k, e, t)
	if f.Verdict != Fix {
		return f
	}
	if cookies, err := e.number(sysctlPath("net.ipv4.tcp_syncookies")); err == nil && cookies > 0 {
		f.Verdict = Pass
		f.Why = "not consulted while tcp_syncookies is on"
	}
	return f
}

func checkTCPMem(k knob, e Env, t Target) Finding {
	needed := t.sockets()
	text := "pressure " + decimal(needed)
	have, err := e.numbers(sysctlPath(k.name), 3)
	if err != nil {
		return skipped(text, err)
	}
	return Finding{Value: spaced(have...), Needed: text, Verdict: verdict(have[1] >= needed)}
}

func checkSendBuffer(k knob, e Env, t Target) Finding {
	if t.SendBuffer > 0 {
		return Finding{
			Value:   fmt.Sprintf("SO_SNDBUF %d", t.SendBuffer),
			Needed:  "SO_SNDBUF set",
			Verdict: Pass,
			Why:     "socket.send_buffer overrides tcp_wmem on every connection",
		}
	}
	needed := fmt.Sprintf("SO_SNDBUF, or max %d", maxSendBuffer)
	have, err := e.numbers(sysctlPath(k.name), 3)
	if err != nil {
		return skipped(needed, err)
	}
	f := Finding{Value: spaced(have...), Needed: needed, Verdict: verdict(have[2] <= maxSendBuffer)}
	if f.Verdict == Fix {
		f.Fix = "gateway serve --socket.send_buffer=16384"
	}
	return f
}

func checkReceiveBuffer(k knob, e Env, t Target) Finding {
	if t.ReceiveBuffer > 0 {
		return Finding{
			Value:   fmt.Sprintf("SO_RCVBUF %d", t.ReceiveBuffer),
			Needed:  "SO_RCVBUF set",
			Verdict: Pass,
			Why:     "socket.receive_buffer overrides tcp_rmem on every connection",
		}
	}
	needed := fmt.Sprintf("default <= %d", maxReceiveBuffer)
	have, err := e.numbers(sysctlPath(k.name), 3)
	if err != nil {
		return skipped(needed, err)
	}
	f := Finding{Value: spaced(have...), Needed: needed, Verdict: verdict(have[1] <= maxReceiveBuffer)}
	if f.Verdict == Fix {
		// The bounds for other services stay as they are.
		f.Setting = spaced(have[0], maxReceiveBuffer, have[2])
	}
	return f
}

func checkTimeWait(k knob, e Env, t Target) Finding {
	needed := "1"
	if t.Side == Both {
		needed = "1 or 2"
	}
	have, err := e.number(sysctlPath(k.name))
	if err != nil {
		return skipped(needed, err)
	}
	f := Finding{Value: strconv.FormatInt(have, 10), Needed: needed}
	// On a box with both ends the connections run over loopback, which 2 covers.
	f.Verdict = verdict(have == 1 || have == 2 && t.Side == Both)
	return f
}
