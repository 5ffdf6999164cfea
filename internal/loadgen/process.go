package loadgen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/prometheus/procfs"

	"github.com/pushgate/pushgate/internal/reactor"
)

// userHZ is how many of /proc's ticks make a second, on every Linux.
const userHZ = 100

// ProcessSample is what /proc says of a process at one moment.
type ProcessSample struct {
	RSS         uint64  `json:"rss_bytes"`
	Anon        uint64  `json:"rss_anon_bytes"`
	CPU         float64 `json:"cpu_seconds"`        // user and system, since it started
	CPUSystem   float64 `json:"cpu_system_seconds"` // of it in the kernel, by its ticks
	Threads     int     `json:"threads"`
	Descriptors int     `json:"descriptors"`
	// Processes is how many a foreign server has, of which these are the sums;
	// shared memory is counted once.
	Processes int `json:"processes,omitempty"`
}

// cpuSince is the CPU time since an earlier sample; false where one of the two
// is missing, or is another process's.
func (s *ProcessSample) cpuSince(before *ProcessSample) (seconds float64, known bool) {
	if s == nil || before == nil || s.CPU < before.CPU {
		return 0, false
	}
	return s.CPU - before.CPU, true
}

// processWatch reads one process.
type processWatch struct {
	// Immutable
	name string
	fs   procfs.FS
	all  bool // with its family

	// Guarded by mu
	mu   sync.Mutex
	proc procfs.Proc
}

// again looks for the process that listens at the target now.
func (w *processWatch) again(target *Target) error {
	next, err := watchProcess(0, target, w.all)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proc = next.proc
	return nil
}

func (w *processWatch) process() procfs.Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.proc
}

// errNoProcess says that the target's process can't be found, for example
// because it belongs to another user or another host.
var errNoProcess = errors.New("the server's process was not found: name it with --pid, or run as its user")

// watchProcess finds the process by its id, or the one that listens at the
// target if pid is 0; with all it is read with its family.
func watchProcess(pid int, target *Target, all bool) (*processWatch, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("/proc: %w", err)
	}
	if pid == 0 {
		if pid, err = findListener(fs, target); err != nil {
			return nil, err
		}
		if all {
			pid = familyHead(fs, pid)
		}
	}
	p, err := fs.Proc(pid)
	if err != nil {
		return nil, &UsageError{Flag: "--pid", Value: fmt.Sprint(pid), Want: "no such process"}
	}
	name, _ := p.Comm()
	w := &processWatch{proc: p, name: name, fs: fs, all: all}
	if _, err := w.sample(); err != nil {
		return nil, err
	}
	return w, nil
}

// findListener looks for the socket that listens at the target, the first of its
// addresses that has one, and for the first process that holds it.
func findListener(fs procfs.FS, target *Target) (pid int, err error) {
	var want []string
	if target.Socket != "" {
		want = socketListeners(fs, target.Socket)
	}
	for _, a := range target.Addrs {
		if want = listeners(fs, a); len(want) > 0 {
			break
		}
	}
	if len(want) == 0 {
		return 0, errNoProcess
	}
	all, err := fs.AllProcs()
	if err != nil {
		return 0, fmt.Errorf("/proc: %w", err)
	}
	for _, p := range all {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue // another user's
		}
		if slices.ContainsFunc(targets, func(t string) bool { return slices.Contains(want, t) }) {
			return p.PID, nil
		}
	}
	return 0, errNoProcess
}

// listeners returns the sockets that listen at an address, as descriptors name
// them.
func listeners(fs procfs.FS, target netip.AddrPort) (all []string) {
	const listening = 0x0a
	for _, read := range []func() (procfs.NetTCP, error){fs.NetTCP, fs.NetTCP6} {
		lines, err := read()
		if err != nil {
			continue // a kernel without IPv6
		}
		for _, l := range lines {
			if l.St == listening && l.LocalPort == uint64(target.Port()) && listensFor(l.LocalAddr, target.Addr()) {
				all = append(all, fmt.Sprintf("socket:[%d]", l.Inode))
			}
		}
	}
	return all
}

// socketListeners returns the same for a unix socket.
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

func listensFor(local net.IP, target netip.Addr) bool {
	a, ok := netip.AddrFromSlice(local)
	if !ok {
		return false
	}
	a = a.Unmap()
	return a == target || a.IsUnspecified() && (a.Is4() == target.Is4() || a.Is6())
}

func (w *processWatch) sample() (ProcessSample, error) {
	proc := w.process()
	if w.all {
		return sampleFamily(w.fs, proc.PID)
	}
	return sampleOf(proc)
}

func sampleOf(proc procfs.Proc) (ProcessSample, error) {
	status, err := proc.NewStatus()
	if err != nil {
		return ProcessSample{}, fmt.Errorf("process %d: %w", proc.PID, err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return ProcessSample{}, fmt.Errorf("process %d: %w", proc.PID, err)
	}
	if stat.State == "Z" || stat.State == "X" || status.VmRSS == 0 {
		return ProcessSample{}, fmt.Errorf("process %d: it has ended", proc.PID)
	}
	// /proc counts in ticks of 10 ms, in which 500 handshakes are done.
	cpu, err := reactor.ProcessCPU(proc.PID)
	if err != nil {
		return ProcessSample{}, fmt.Errorf("process %d: %w", proc.PID, err)
	}
	// Not readable for another user's process, and no reason to do without the
	// rest.
	descriptors, _ := proc.FileDescriptorsLen()
	return ProcessSample{
		RSS:         status.VmRSS,
		Anon:        status.RssAnon,
		CPU:         cpu.Seconds(),
		CPUSystem:   float64(stat.STime) / userHZ,
		Threads:     stat.NumThreads,
		Descriptors: descriptors,
	}, nil
}
