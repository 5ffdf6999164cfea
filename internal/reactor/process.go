package reactor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// DescriptorLimit returns the limits on open files.
func DescriptorLimit() (soft, hard uint64, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, fmt.Errorf("getrlimit: %w", err)
	}
	return r.Cur, r.Max, nil
}

// RaiseDescriptorLimit lifts the soft limit on open files to the hard one and
// returns the new limits.
func RaiseDescriptorLimit() (soft, hard uint64, err error) {
	soft, hard, err = DescriptorLimit()
	if err != nil || soft == hard {
		return soft, hard, err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: hard, Max: hard}); err != nil {
		return soft, hard, fmt.Errorf("setrlimit: %w", err)
	}
	return hard, hard, nil
}

// cpuClockSched is the kind of a process's CPU clock that the scheduler keeps,
// to the nanosecond.
const cpuClockSched = 2

// ProcessCPU returns the CPU time that a process has used, by the clock that
// clock_getcpuclockid(3) finds.
func ProcessCPU(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|cpuClockSched, &t); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}
