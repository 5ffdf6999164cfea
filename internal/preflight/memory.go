package preflight

import "fmt"

// connectionBytes is what one more connection costs the box.
func (e Env) connectionBytes(t Target) int64 {
	ends := int64(1)
	if t.Side == Both {
		ends = 2
	}
	n := ends * (int64(t.UserBytes) + KernelBytes)
	if e.conntrackLoaded() {
		n += ConntrackBytes
	}
	return n
}

// memoryNeeded is what the target costs the box.
func (e Env) memoryNeeded(t Target) int64 {
	return t.processes()*BaseBytes + int64(t.Connections)*e.connectionBytes(t)
}

// carried is the number of connections that fit into available bytes, rounded
// down to hundreds.
func (e Env) carried(t Target, available int64) int64 {
	n := (available - t.processes()*BaseBytes) / e.connectionBytes(t)
	return max(n/100*100, 0)
}

func checkMemory(k knob, e Env, t Target) Finding {
	needed := e.memoryNeeded(t)
	kib, err := e.field("proc/meminfo", "MemAvailable:")
	if err != nil {
		return skipped(size(needed), err)
	}
	have := kib << 10
	f := Finding{Value: size(have), Needed: size(needed), Verdict: verdict(have >= needed)}
	f.Why = fmt.Sprintf("%d B a connection, user space and kernel; this carries %d", e.connectionBytes(t), e.carried(t, have))
	if f.Verdict == Fix {
		// No command adds memory: the other way out is a smaller promise.
		f.Fix = fmt.Sprintf("gateway serve --limits.connections=%d", max(e.carried(t, have), 1)) // 0 would mean no limit
	}
	return f
}
