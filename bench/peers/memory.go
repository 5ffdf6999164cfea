package main

import (
	"fmt"

	"github.com/pushgate/pushgate/bench/rig"
)

// memory returns what the processes hold of memory together, in bytes: each
// page that several of them have is counted once. Pages of program files are
// left out; they are as many with clients as without.
func memory(pids []int) (sum int64, err error) {
	for _, pid := range pids {
		name := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
		fields, err := rig.Kilobytes(name)
		if err != nil {
			return 0, err
		}
		anon, hasAnon := fields["Pss_Anon"]
		shared, hasShared := fields["Pss_Shmem"]
		if !hasAnon || !hasShared {
			return 0, fmt.Errorf("%s has no Pss_Anon and Pss_Shmem", name)
		}
		sum += anon + shared
	}
	return sum, nil
}
