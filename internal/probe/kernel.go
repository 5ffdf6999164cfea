package probe

import (
	"fmt"
	"os"
	"sync"

	"github.com/prometheus/procfs"
)

// KernelSample is the memory and the counters of the host's kernel, for all
// programs on it: beside a server on this host, for both ends of every connection.
type KernelSample struct {
	TCPMemory uint64 `json:"tcp_memory_bytes"` // socket buffers in use
	Sockets   int    `json:"tcp_sockets"`
	TimeWait  int    `json:"tcp_time_wait"`
	Slab      uint64 `json:"slab_bytes"` // among others the sockets themselves
	// Connects that the kernel dropped since the first sample because a listen
	// queue was full, and for that or other reasons.
	Overflows uint64 `json:"listen_overflows"`
	Drops     uint64 `json:"listen_drops"`
	// CPU is the CPU time that all programs have used, in seconds.
	CPU float64 `json:"cpu_seconds"`
}

// Kernel reads the kernel's figures in the network namespace of a process: by
// this process where that is its own namespace, so that they outlive the other.
type Kernel struct {
	host procfs.FS // immutable

	// Guarded by mu
	mu        sync.Mutex
	net       procfs.FS // the process's own view
	proc      procfs.Proc
	namespace string // empty: unknown
	// The kernel's counters when the watch entered this namespace, and the counts from others
	// before.
	overflows, drops               uint64
	countedOverflows, countedDrops uint64
	last                           KernelSample
}

// WatchKernel looks from a process, 0 for this one.
func WatchKernel(pid int) (*Kernel, error) {
	host, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("/proc: %w", err)
	}
	k := &Kernel{host: host}
	return k, k.Follow(pid)
}

// Follow goes on from another process.
func (k *Kernel) Follow(pid int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	own := namespace(os.Getpid())
	space := namespace(pid)
	if pid == 0 || space == "" || space == own {
		pid, space = os.Getpid(), own
	}
	proc, err := k.host.Proc(pid)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	net, err := procfs.NewFS(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	counters, err := proc.Netstat()
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if k.proc.PID == 0 || k.namespace != space {
		k.countedOverflows, k.countedDrops = k.last.Overflows, k.last.Drops
		k.overflows, k.drops = since(counters.TcpExt.ListenOverflows, 0), since(counters.TcpExt.ListenDrops, 0)
	}
	k.net, k.proc, k.namespace = net, proc, space
	return nil
}

// namespace names the network that a process is in; empty where that can't be
// read.
func namespace(pid int) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return name
}

// Sample reads the kernel's figures; its error is a process that is gone.
func (k *Kernel) Sample() (s KernelSample, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := k.proc.Netstat()
	if err != nil {
		return s, fmt.Errorf("process %d: %w", k.proc.PID, err)
	}
	if m, err := k.host.Meminfo(); err == nil && m.SlabBytes != nil {
		s.Slab = *m.SlabBytes
	}
	if st, err := k.host.Stat(); err == nil {
		c := st.CPUTotal
		s.CPU = c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ
	}
	for _, read := range []func() (*procfs.NetSockstat, error){k.net.NetSockstat, k.net.NetSockstat6} {
		stat, err := read()
		if err != nil {
			continue // a kernel without IPv6
		}
		for _, p := range stat.Protocols {
			if p.Protocol != "TCP" && p.Protocol != "TCP6" {
				continue
			}
			s.Sockets += p.InUse
			if p.TW != nil {
				s.TimeWait += *p.TW
			}
			if p.Mem != nil {
				s.TCPMemory += uint64(*p.Mem) * uint64(os.Getpagesize())
			}
		}
	}
	s.Overflows = k.countedOverflows + since(n.TcpExt.ListenOverflows, k.overflows)
	s.Drops = k.countedDrops + since(n.TcpExt.ListenDrops, k.drops)
	k.last = s
	return s, nil
}

func since(now *float64, before uint64) uint64 {
	if now == nil || uint64(*now) < before {
		return 0
	}
	return uint64(*now) - before
}
