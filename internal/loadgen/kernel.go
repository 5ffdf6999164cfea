package loadgen

import "github.com/pushgate/pushgate/internal/probe"

// Kernel is the host's kernel at the turns of a run.
type Kernel struct {
	Before    probe.KernelSample `json:"before"`
	Connected probe.KernelSample `json:"connected"`
	After     probe.KernelSample `json:"after"` // clients still connected

	// What it grew by for each open connection, whose both ends are on this
	// host if the gateway is.
	SlabPerConnection float64 `json:"slab_per_connection_bytes"`
	TCPPerConnection  float64 `json:"tcp_memory_per_connection_bytes"`
}

// perConnection computes what follows from the samples.
func (k *Kernel) perConnection(at probe.KernelSample, open uint64) {
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
