package preflight

import (
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/pushgate/pushgate/internal/units"
)

// connectionBytes is the cost of one more connection.
func (e Env) connectionBytes(t Target) int64 {
	n := t.ends() * (int64(t.UserBytes) + KernelBytes)
	if e.conntrackLoaded() {
		n += ConntrackBytes
	}
	return n
}

// memoryNeeded is the cost of the target.
func (e Env) memoryNeeded(t Target) int64 {
	return t.ends()*BaseBytes + int64(t.Connections)*e.connectionBytes(t)
}

// carried is the number of connections that fit into available bytes, rounded
// down to hundreds.
func (e Env) carried(t Target, available int64) int64 {
	n := (available - t.ends()*BaseBytes) / e.connectionBytes(t)
	return max(n/100*100, 0)
}

// memoryAvailable is the kernel's own estimate in bytes.
func (e Env) memoryAvailable() (int64, error) {
	kib, err := e.field("proc/meminfo", "MemAvailable:")
	return kib << 10, err
}

func checkMemory(_ knob, e Env, t Target) Finding {
	needed := e.memoryNeeded(t)
	have, err := e.memoryAvailable()
	f := found(units.WholeBytes(have), units.WholeBytes(needed), have >= needed, err)
	if err == nil {
		f.Why = fmt.Sprintf("%d B a connection, user space and kernel; this carries %d", e.connectionBytes(t), e.carried(t, have))
	}
	return f
}

// carryLess makes a smaller promise: no command adds memory.
func carryLess(e Env, t Target) string {
	have, _ := e.memoryAvailable()
	return fmt.Sprintf("gateway serve --limits.connections=%d", max(e.carried(t, have), 1)) // 0 would mean no limit
}

// noCgroupLimit is the least value that version 1 means as "none": the largest
// 64-bit number rounded down to a page.
const noCgroupLimit = 1 << 60

// hierarchy is one layout of the memory controller's files.
type hierarchy struct {
	root, usage, reclaimable string
	limits                   []string
}

var (
	cgroupV2 = hierarchy{
		root: "sys/fs/cgroup", usage: "memory.current", reclaimable: "inactive_file",
		limits: []string{"memory.max", "memory.high"},
	}
	cgroupV1 = hierarchy{
		root: "sys/fs/cgroup/memory", usage: "memory.usage_in_bytes", reclaimable: "total_inactive_file",
		limits: []string{"memory.limit_in_bytes"},
	}
)

// memoryGroup is the cgroup whose limit leaves the least.
type memoryGroup struct {
	file      string // of the limit; empty: nothing is limited
	path      string // below the root of its hierarchy
	limit     int64
	used      int64 // less the part that the kernel can take back
	available int64
}

// tightest walks from the process's own cgroup to the root, because every
// limit on the way counts.
func (e Env) tightest() (memoryGroup, error) {
	least := memoryGroup{available: math.MaxInt64}
	h, own, err := e.memoryController()
	if err != nil {
		return least, err
	}
	for p := own; ; p = path.Dir(p) {
		for _, name := range h.limits {
			file := path.Join(h.root, p, name)
			// "max" is no number, and a missing file no limit: a container
			// sees its own cgroup at the root, not under its path.
			limit, err := e.number(file)
			if err != nil || limit >= noCgroupLimit {
				continue
			}
			usage, _ := e.number(path.Join(h.root, p, h.usage))
			cache, _ := e.field(path.Join(h.root, p, "memory.stat"), h.reclaimable)
			used := max(usage-cache, 0)
			if left := max(limit-used, 0); left < least.available {
				least = memoryGroup{file, p, limit, used, left}
			}
		}
		if p == "/" {
			return least, nil
		}
	}
}

// memoryController finds the process's cgroup in /proc/self/cgroup: the line
// of version 1's memory controller, else version 2's.
func (e Env) memoryController() (h hierarchy, own string, err error) {
	s, err := e.read("proc/self/cgroup")
	if err != nil {
		return h, "", err
	}
	for line := range strings.Lines(s) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		p := path.Clean("/" + parts[2])
		if parts[0] == "0" && own == "" {
			h, own = cgroupV2, p
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			if controller == "memory" {
				return cgroupV1, p, nil
			}
		}
	}
	if own == "" {
		return h, "", fmt.Errorf("/proc/self/cgroup: no memory controller")
	}
	return h, own, nil
}

func checkCgroup(_ knob, e Env, t Target) Finding {
	needed := e.memoryNeeded(t)
	g, err := e.tightest()
	if err == nil && g.file == "" {
		return Finding{Verdict: Pass, Value: "no limit", Needed: units.WholeBytes(needed), Why: "only the box's own memory bounds the process"}
	}
	return found(units.WholeBytes(g.limit)+", "+units.WholeBytes(g.available)+" free", units.WholeBytes(needed), g.available >= needed, err)
}

// raiseCgroup speaks to the cgroup's owner: systemd, the container engine, or none.
func raiseCgroup(e Env, t Target) string {
	const mib = 1 << 20
	g, _ := e.tightest()
	limit := ceil(g.used+e.memoryNeeded(t), mib)
	switch unit := path.Base(g.path); {
	case strings.HasSuffix(unit, ".service"), strings.HasSuffix(unit, ".slice"), strings.HasSuffix(unit, ".scope"):
		property := "MemoryMax"
		if strings.HasSuffix(g.file, "memory.high") {
			property = "MemoryHigh"
		}
		return fmt.Sprintf("sudo systemctl set-property %s %s=%dM", unit, property, limit)
	case g.path == "/":
		return fmt.Sprintf("docker update --memory=%dm --memory-swap=%[1]dm CONTAINER", limit)
	}
	return fmt.Sprintf("echo %d | sudo tee /%s", limit*mib, g.file)
}
