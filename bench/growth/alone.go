package growth

import (
	"os"
	"time"

	"github.com/prometheus/procfs"

	"github.com/pushgate/pushgate/internal/probe"
)

// mostOthers is how much of the box other programs may take before a measurement
// is made again.
const mostOthers = 0.1 // of all CPUs

// alone measures until others left the box alone meanwhile, and returns their
// share of it.
func (l *lab) alone(s *site, measure func() error) (others float64, err error) {
	for try := 1; ; try++ {
		before, err := s.others()
		if err != nil {
			return 0, err
		}
		began := time.Now()
		if err := measure(); err != nil {
			return 0, err
		}
		after, err := s.others()
		if err != nil {
			return 0, err
		}
		others = max(after-before, 0) / time.Since(began).Seconds() / float64(l.cpus)
		if others <= mostOthers || try >= l.tries {
			return others, nil
		}
		l.say("others took %.0f %% of the box: again", others*100)
	}
}

// others is the CPU time, in seconds, of all programs on the box but those of
// the measurement, and of other guests of its host.
func (s *site) others() (float64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	stat, err := fs.Stat()
	if err != nil {
		return 0, err
	}
	t := stat.CPUTotal
	seconds := t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal
	for _, pid := range []int{os.Getpid(), s.gateway.PID(), s.redis.PID()} {
		own, err := probe.CPU(pid)
		if err != nil {
			return 0, err
		}
		seconds -= own.Seconds()
	}
	return seconds, nil
}
