package loadgen

import "github.com/pushgate/pushgate/internal/probe"

// The figures of the server's process, the kernel and the host in a Result.
type (
	ProcessSample = probe.ProcessSample
	KernelSample  = probe.KernelSample
	Host          = probe.Host
)
