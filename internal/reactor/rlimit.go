package reactor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// RaiseDescriptorLimit lifts the soft limit on open files to the hard one and
// returns the new limits.
func RaiseDescriptorLimit() (soft, hard uint64, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, fmt.Errorf("getrlimit: %w", err)
	}
	if r.Cur < r.Max {
		raised := unix.Rlimit{Cur: r.Max, Max: r.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
			return r.Cur, r.Max, fmt.Errorf("setrlimit: %w", err)
		}
		r = raised
	}
	return r.Cur, r.Max, nil
}
