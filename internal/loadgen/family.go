package loadgen

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// A foreign server may be several processes: nginx's workers, a cluster of Node.
// Its figures are those of all that descend from one, the family of the process
// that listens, or of its parent where that is the same program.

// head climbs from a process to the first of its family.
func familyHead(fs procfs.FS, pid int) int {
	for {
		p, err := fs.Proc(pid)
		if err != nil {
			return pid
		}
		stat, err := p.Stat()
		if err != nil || stat.PPID <= 1 || !sameProgram(pid, stat.PPID) {
			return pid
		}
		pid = stat.PPID
	}
}

func sameProgram(a, b int) bool {
	exe := func(pid int) string {
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return name
	}
	name := exe(a)
	return name != "" && name == exe(b)
}

// family lists a process and all that descend from it.
func family(pid int) (all []int) {
	all = []int{pid}
	for i := 0; i < len(all); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // it has ended
			}
			for word := range strings.FieldsSeq(string(text)) {
				if child, err := strconv.Atoi(word); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	return all
}

// sampleFamily sums up a family. Memory that several of them share is counted
// once, by their parts of it (Pss).
func sampleFamily(fs procfs.FS, head int) (sum ProcessSample, err error) {
	pids := family(head)
	for _, pid := range pids {
		p, err := fs.Proc(pid)
		var one ProcessSample
		if err == nil {
			one, err = sampleOf(p)
		}
		switch {
		case err == nil && len(pids) > 1:
			err = one.readShares(pid)
		case err != nil && pid == head:
			return ProcessSample{}, err
		}
		if err != nil {
			continue // it has ended
		}
		sum.Processes++
		sum.RSS += one.RSS
		sum.Anon += one.Anon
		sum.CPU += one.CPU
		sum.CPUSystem += one.CPUSystem
		sum.Threads += one.Threads
		sum.Descriptors += one.Descriptors
	}
	return sum, nil
}

// readShares replaces the memory of a process by its part of what it shares.
func (s *ProcessSample) readShares(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		kib, err := strconv.ParseUint(string(fields[0]), 10, 64)
		switch {
		case err != nil:
		case string(name) == "Pss":
			s.RSS = kib << 10
		case string(name) == "Pss_Anon":
			s.Anon = kib << 10
		}
	}
	return nil
}
