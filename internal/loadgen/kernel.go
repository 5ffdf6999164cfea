package loadgen

import (
	"fmt"
	"os"
	"sync"

	"github.com/prometheus/procfs"
)

// KernelSample is what the host's kernel holds and has counted, for all
// programs on it: beside a gateway on this host, for both ends of every
// connection.
type KernelSample struct {
	TCPMemory uint64 `json:"tcp_memory_bytes"` // socket buffers in use
	Sockets   int    `json:"tcp_sockets"`
	TimeWait  int    `json:"tcp_time_wait"`
	Slab      uint64 `json:"slab_bytes"` // among others the sockets themselves
	// Connects that the kernel dropped since the run began because a listen
	// queue was full, and for that or other reasons.
	Overflows uint64 `json:"listen_overflows"`
	Drops     uint64 `json:"listen_drops"`
	// CPU is the CPU time that all programs have used, in seconds.
	CPU float64 `json:"cpu_seconds"`
}

// Kernel is the host's kernel at the turns of a run.
type Kernel struct {
	Before    KernelSample `json:"before"`
	Connected KernelSample `json:"connected"`
	After     KernelSample `json:"after"` // clients still connected

	// What it grew by for each open connection, whose both ends are on this
	// host if the gateway is.
	SlabPerConnection float64 `json:"slab_per_connection_bytes"`
	TCPPerConnection  float64 `json:"tcp_memory_per_connection_bytes"`
}

// kernelWatch reads the kernel's figures in the network namespace of a
// process: by this one where that is its own, so that they outlive the other.
type kernelWatch struct {
	host procfs.FS // immutable

	// Guarded by mu
	mu    sync.Mutex
	net   procfs.FS // the process's own view
	proc  procfs.Proc
	space string // the namespace; empty: can't be told
	// What the kernel's counters were at the beginning, or when the watch went
	// to another namespace; what had been counted up to there, and up to now.
	overflows, drops uint64
	counted, seen    listenDrops
}

// listenDrops are the connects that the kernel dropped.
type listenDrops struct{ overflows, drops uint64 }

// watchKernel looks from a process, 0 for this one.
func watchKernel(pid int) (*kernelWatch, error) {
	host, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("/proc: %w", err)
	}
	w := &kernelWatch{host: host}
	if err := w.again(pid); err != nil {
		return nil, err
	}
	return w, nil
}

// again looks from another process.
func (w *kernelWatch) again(pid int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	own := os.Getpid()
	space := namespace(pid)
	if pid == 0 || space == "" || space == namespace(own) {
		pid, space = own, namespace(own)
	}
	proc, err := w.host.Proc(pid)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	net, err := procfs.NewFS(fmt.Sprintf("%s/%d", procfs.DefaultMountPoint, pid))
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	counters, err := proc.Netstat()
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if w.proc.PID == 0 || w.space != space {
		w.counted = w.seen
		w.overflows, w.drops = since(counters.TcpExt.ListenOverflows, 0), since(counters.TcpExt.ListenDrops, 0)
	}
	w.net, w.proc, w.space = net, proc, space
	return nil
}

// namespace names the network that a process is in; empty where that can't be
// read.
func namespace(pid int) string {
	name, err := os.Readlink(fmt.Sprintf("%s/%d/ns/net", procfs.DefaultMountPoint, pid))
	if err != nil {
		return ""
	}
	return name
}

// sample reads the kernel's figures; its error is a process that is gone.
func (w *kernelWatch) sample() (s KernelSample, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.proc.Netstat()
	if err != nil {
		return s, fmt.Errorf("process %d: %w", w.proc.PID, err)
	}
	if m, err := w.host.Meminfo(); err == nil && m.SlabBytes != nil {
		s.Slab = *m.SlabBytes
	}
	if st, err := w.host.Stat(); err == nil {
		c := st.CPUTotal
		s.CPU = c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ
	}
	for _, read := range []func() (*procfs.NetSockstat, error){w.net.NetSockstat, w.net.NetSockstat6} {
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
	s.Overflows = w.counted.overflows + since(n.TcpExt.ListenOverflows, w.overflows)
	s.Drops = w.counted.drops + since(n.TcpExt.ListenDrops, w.drops)
	w.seen = listenDrops{s.Overflows, s.Drops}
	return s, nil
}

func since(now *float64, before uint64) uint64 {
	if now == nil || uint64(*now) < before {
		return 0
	}
	return uint64(*now) - before
}

// perConnection computes what follows from the samples.
func (k *Kernel) perConnection(at KernelSample, open uint64) {
	if n := float64(open); n > 0 {
		k.SlabPerConnection = (float64(at.Slab) - float64(k.Before.Slab)) / n
		k.TCPPerConnection = (float64(at.TCPMemory) - float64(k.Before.TCPMemory)) / n
	}
}

// hostBound is the share of all CPUs from which on programs wait for one.
const hostBound = 0.95

// judgeKernel warns of what the kernel did to the run.
func (r *run) judgeKernel() {
	k := r.result.Kernel
	if k == nil {
		return
	}
	at, open := k.After, r.result.Counters.Open
	if len(r.result.Steps) > 0 {
		at, open = k.Connected, r.top
	}
	k.perConnection(at, open)
	if n := k.After.Overflows; n > 0 {
		r.warn("the kernel dropped %d connects because a listen queue was full: raise net.core.somaxconn and the gateway's socket.backlog", n)
	}
	full := 0
	for _, x := range r.result.Series {
		if x.HostCPU > hostBound && x.Phase != PhaseHold && x.Phase != PhaseLeave {
			full++
		}
	}
	if full >= boundSeconds {
		r.warn("HOST-BOUND: in %d seconds under load the CPUs of this host were over %.0f %% busy, with loadgen and whatever else runs here beside the server; latencies are longer than on a host of its own", full, hostBound*100)
	}
}
