package capacity

import (
	"os"

	"github.com/prometheus/procfs"
)

// kernelBytes returns what the kernel holds in slabs and for TCP buffers, on
// the whole host; false where it can't be read.
func kernelBytes() (float64, bool) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, false
	}
	m, err := fs.Meminfo()
	if err != nil || m.SUnreclaimBytes == nil || m.SReclaimableBytes == nil {
		return 0, false
	}
	// Inodes and dentries of sockets count as reclaimable and are not, while
	// they are open.
	sum := float64(*m.SUnreclaimBytes + *m.SReclaimableBytes)
	if s, err := fs.NetSockstat(); err == nil {
		for _, p := range s.Protocols {
			if p.Protocol == "TCP" && p.Mem != nil {
				sum += float64(*p.Mem) * float64(os.Getpagesize())
			}
		}
	}
	return sum, true
}
