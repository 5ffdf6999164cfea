package preflight

import (
	"fmt"
	"math"
	"path"
	"strings"
)

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
	file  string // of the limit
	path  string // below the root of its hierarchy
	limit int64
	used  int64 // less what the kernel can take back
}

func (g memoryGroup) available() int64 { return max(g.limit-g.used, 0) }

// tightest walks from the process's own cgroup to the root, because every
// limit on the way counts. ok is false when there is none.
func (e Env) tightest() (g memoryGroup, ok bool, err error) {
	h, own, err := e.memoryController()
	if err != nil {
		return g, false, err
	}
	least := int64(math.MaxInt64)
	for p := own; ; p = path.Dir(p) {
		for _, name := range h.limits {
			file := path.Join(h.root, p, name)
			// "max" is no number, and a missing file no limit: a container
			// sees its own cgroup at the root, not under its path.
			limit, err := e.number(file)
			if err != nil || limit >= noCgroupLimit {
				continue
			}
			used, _ := e.number(path.Join(h.root, p, h.usage))
			cache, _ := e.field(path.Join(h.root, p, "memory.stat"), h.reclaimable)
			candidate := memoryGroup{file: file, path: p, limit: limit, used: max(used-cache, 0)}
			if candidate.available() < least {
				least, g, ok = candidate.available(), candidate, true
			}
		}
		if p == "/" {
			return g, ok, nil
		}
	}
}

// memoryController finds the process's cgroup in /proc/self/cgroup: the line
// of version 1's memory controller, else that of version 2.
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

func checkCgroup(k knob, e Env, t Target) Finding {
	needed := e.memoryNeeded(t)
	g, ok, err := e.tightest()
	if err != nil {
		return skipped(size(needed), err)
	}
	if !ok {
		return Finding{Value: "no limit", Needed: size(needed), Verdict: Pass, Why: "only the box's own memory bounds the process"}
	}
	f := Finding{
		Value:   fmt.Sprintf("%s, %s free", size(g.limit), size(g.available())),
		Needed:  size(needed),
		Verdict: verdict(g.available() >= needed),
	}
	if f.Verdict == Fix {
		f.Fix = fixCgroup(g, g.used+needed)
	}
	return f
}

// fixCgroup speaks to whoever owns the cgroup: systemd, the container engine,
// or nobody.
func fixCgroup(g memoryGroup, limit int64) string {
	const mib = 1 << 20
	limit = (limit + mib - 1) / mib * mib
	switch unit := path.Base(g.path); {
	case strings.HasSuffix(unit, ".service"), strings.HasSuffix(unit, ".slice"), strings.HasSuffix(unit, ".scope"):
		property := "MemoryMax"
		if strings.HasSuffix(g.file, "memory.high") {
			property = "MemoryHigh"
		}
		return fmt.Sprintf("sudo systemctl set-property %s %s=%dM", unit, property, limit/mib)
	case g.path == "/":
		return fmt.Sprintf("docker update --memory=%dm --memory-swap=%dm CONTAINER", limit/mib, limit/mib)
	}
	return fmt.Sprintf("echo %d | sudo tee /%s", limit, g.file)
}
