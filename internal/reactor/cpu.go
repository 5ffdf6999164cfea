package reactor

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

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
