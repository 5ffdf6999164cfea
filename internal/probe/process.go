// Package probe measures from outside: the CPU time and memory of a process or
// of several that belong together, the kernel's memory, a program's Prometheus
// metrics. It also starts the programs that are measured.
package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/pushgate/pushgate/internal/reactor"
)

// userHZ is how many of /proc's ticks make a second, on every Linux.
const userHZ = 100

// ProcessSample is the state of a process at one moment.
type ProcessSample struct {
	RSS         uint64  `json:"rss_bytes"`
	Anon        uint64  `json:"rss_anon_bytes"`
	CPU         float64 `json:"cpu_seconds"`        // user and system, since it started
	CPUSystem   float64 `json:"cpu_system_seconds"` // of it in the kernel, by its ticks
	Threads     int     `json:"threads"`
	Descriptors int     `json:"descriptors"`
	// Processes is the size of a family, of which these are the sums; shared
	// memory is counted once. 0 for a single process.
	Processes int `json:"processes,omitempty"`
}

// CPUSince returns the seconds of CPU since an earlier sample; false where one of
// the two is missing, or is another process's.
func (s *ProcessSample) CPUSince(before *ProcessSample) (seconds float64, known bool) {
	if s == nil || before == nil || s.CPU < before.CPU {
		return 0, false
	}
	return s.CPU - before.CPU, true
}

// CPU returns the CPU time that a process has used, user and system, by the
// kernel's clock of it: to the nanosecond, where /proc counts in ticks of 10 ms.
func CPU(pid int) (time.Duration, error) { return reactor.ProcessCPU(pid) }

// OwnCPU returns the CPU time of this process.
func OwnCPU() time.Duration {
	used, _ := CPU(os.Getpid()) // no error: it runs
	return used
}

// Process reads a running process.
func Process(pid int) (ProcessSample, error) {
	s, err := readProcess(pid)
	if err != nil {
		return ProcessSample{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return s, nil
}

func readProcess(pid int) (s ProcessSample, err error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return s, err
	}
	status, err := proc.NewStatus()
	if err != nil {
		return s, err
	}
	stat, err := proc.Stat()
	if err != nil {
		return s, err
	}
	if stat.State == "Z" || stat.State == "X" || status.VmRSS == 0 {
		return s, errors.New("it has ended")
	}
	cpu, err := CPU(pid)
	if err != nil {
		return s, err
	}
	// Not readable for another user's process, and no reason to do without the
	// rest.
	descriptors, _ := proc.FileDescriptorsLen()
	return ProcessSample{RSS: status.VmRSS, Anon: status.RssAnon, CPU: cpu.Seconds(), CPUSystem: float64(stat.STime) / userHZ,
		Threads: stat.NumThreads, Descriptors: descriptors}, nil
}

// Rollup returns the resident memory of a process in bytes, for which the kernel
// walks its page tables; by name as in /proc/PID/smaps_rollup: Rss, Pss,
// Pss_Anon, Anonymous and others. Process is cheaper and may be some pages off.
func Rollup(pid int) (map[string]uint64, error) {
	return Kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
}

// Kilobytes reads the lines "name: number kB" of a file, in bytes.
func Kilobytes(file string) (map[string]uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]uint64)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 3 || words[2] != "kB" {
			continue
		}
		if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
			sizes[strings.TrimSuffix(words[0], ":")] = n << 10
		}
	}
	return sizes, nil
}

// Name returns the name of a process's program; empty where it can't be read.
func Name(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// Family reads a process together with all that descend from it, such as the
// workers of nginx. Memory that several of them share is counted once, by their
// parts of it (Pss).
func Family(head int) (sum ProcessSample, err error) {
	pids := FamilyPIDs(head)
	for _, pid := range pids {
		one, err := Process(pid)
		if err == nil && len(pids) > 1 {
			var sizes map[string]uint64
			sizes, err = Rollup(pid)
			one.RSS, one.Anon = sizes["Pss"], sizes["Pss_Anon"]
		} else if err != nil && pid == head {
			return ProcessSample{}, err
		}
		if err != nil {
			continue // it has ended
		}
		sum.Processes++
		sum.RSS += one.RSS
		sum.Anon += one.Anon
		sum.CPU += one.CPU
		sum.CPUSystem += one.CPUSystem
		sum.Threads += one.Threads
		sum.Descriptors += one.Descriptors
	}
	return sum, nil
}

// FamilyPIDs returns a process and all that descend from it.
func FamilyPIDs(head int) []int {
	all := []int{head}
	for i := 0; i < len(all); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, file := range files {
			text, _ := os.ReadFile(file) // an error: it has ended
			for word := range strings.FieldsSeq(string(text)) {
				if child, err := strconv.Atoi(word); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}

// FamilyHead climbs from a process to the first ancestor that runs the same
// program.
func FamilyHead(pid int) int {
	for {
		var stat procfs.ProcStat
		proc, err := procfs.NewProc(pid)
		if err == nil {
			stat, err = proc.Stat()
		}
		if err != nil || stat.PPID <= 1 || !sameProgram(pid, stat.PPID) {
			return pid
		}
		pid = stat.PPID
	}
}

func sameProgram(a, b int) bool {
	first, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", a))
	second, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", b))
	return err == nil && first == second
}

// ErrNoListener says that no process was found, for example because it belongs
// to another user or another host.
var ErrNoListener = errors.New("no process was found that listens there")

// Listener finds the process that listens at a unix socket, or else at the first
// of the addresses that has a listener.
func Listener(addrs []netip.AddrPort, socket string) (pid int, err error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, fmt.Errorf("/proc: %w", err)
	}
	var want []string
	if socket != "" {
		want = socketListeners(fs, socket)
	}
	for _, a := range addrs {
		if want = listeners(fs, a); len(want) > 0 {
			break
		}
	}
	if len(want) == 0 {
		return 0, ErrNoListener
	}
	all, err := fs.AllProcs()
	if err != nil {
		return 0, fmt.Errorf("/proc: %w", err)
	}
	for _, p := range all {
		targets, _ := p.FileDescriptorTargets() // an error: another user's
		if slices.ContainsFunc(targets, func(t string) bool { return slices.Contains(want, t) }) {
			return p.PID, nil
		}
	}
	return 0, ErrNoListener
}

// listeners returns the sockets that listen at an address, as descriptors name
// them.
func listeners(fs procfs.FS, at netip.AddrPort) (all []string) {
	const listening = 0x0a
	for _, read := range []func() (procfs.NetTCP, error){fs.NetTCP, fs.NetTCP6} {
		lines, _ := read() // an error: a kernel without IPv6
		for _, l := range lines {
			if l.St == listening && l.LocalPort == uint64(at.Port()) && listensFor(l.LocalAddr, at.Addr()) {
				all = append(all, fmt.Sprintf("socket:[%d]", l.Inode))
			}
		}
	}
	return all
}

func listensFor(local net.IP, to netip.Addr) bool {
	a, ok := netip.AddrFromSlice(local)
	a = a.Unmap()
	return ok && (a == to || a.IsUnspecified() && (a.Is4() == to.Is4() || a.Is6()))
}

func socketListeners(fs procfs.FS, path string) (all []string) {
	const acceptsConnections = 1 << 16
	table, err := fs.NetUNIX()
	if err != nil {
		return nil
	}
	for _, l := range table.Rows {
		if l.Path == path && l.Flags&acceptsConnections != 0 {
			all = append(all, fmt.Sprintf("socket:[%d]", l.Inode))
		}
	}
	return all
}

// Host is the machine that this process runs on.
type Host struct {
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
	Memory uint64 `json:"memory_bytes"`
	Go     string `json:"go"`
}

// ThisHost describes the machine; unreadable fields stay empty.
func ThisHost() Host {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	sizes, _ := Kilobytes("/proc/meminfo")
	return Host{Kernel: strings.TrimSpace(string(text)), CPUs: runtime.NumCPU(), Memory: sizes["MemTotal"], Go: runtime.Version()}
}

// CPUModel returns the name of this host's CPU; empty where it can't be read.
func CPUModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
