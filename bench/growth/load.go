package growth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/loadgen"
	loadresult "github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// warmClients come and go until the warm-up is done.
const warmClients = 500

// warm has clients come and go until the gateway's allocator has its working
// size: the first handshakes of a process leave 900 B each behind, up to its
// first garbage collection. Then it sees the CPU use of an idle gateway.
func (s *site) warm(ctx context.Context, sc scale) error {
	c := s.config
	c.Channels = "warm"
	for left := sc.Warmup; left > 0; left -= warmClients {
		c.Stages += fmt.Sprintf("->%d, ->0, ", warmClients)
	}
	c.Stages += fmt.Sprintf("->1, hold %v", sc.Idle)
	r, err := checked(loadgen.Idle(ctx, c, loadgen.Options{}))
	if err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	s.idle = r.Steps[len(r.Steps)-1].CPU
	return nil
}

// memory is the gateway's, right after a garbage collection.
type memory struct {
	rss, live float64 // bytes
	seen      bool
}

// hold connects more and more clients and reads the gateway's memory at each
// number of them. Two gateways with the same connections hold different amounts
// of garbage, so each is made to collect it, as Go does by itself every two
// minutes.
func (s *site) hold(ctx context.Context, clients []int, channels string, d time.Duration) (*loadresult.Result, []memory, error) {
	c := s.config
	c.Channels = channels
	var stages []string
	for _, n := range clients {
		stages = append(stages, fmt.Sprintf("->%d, hold %v", n, d))
	}
	c.Stages = strings.Join(stages, ", ")
	all := make([]memory, len(clients))
	var failed error
	// The run has ended its sampling when it returns.
	progress := func(x loadresult.Sample) {
		if i := slices.Index(clients, int(x.Open)); i >= 0 && x.Phase == loadresult.PhaseHold && failed == nil {
			all[i], failed = s.collect(ctx)
		}
	}
	r, err := checked(loadgen.Idle(ctx, c, loadgen.Options{Progress: progress}))
	switch {
	case err != nil:
	case failed != nil:
		err = failed
	case slices.ContainsFunc(all, func(m memory) bool { return !m.seen }):
		err = fmt.Errorf("no sample in %v", d)
	}
	return r, all, err
}

// collect has the gateway collect its garbage and reads its memory then.
func (s *site) collect(ctx context.Context) (m memory, err error) {
	profile, err := rig.Get(ctx, s.gateway.Admin+"/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(profile) {
		if digits, ok := strings.CutPrefix(strings.TrimSpace(line), "# HeapAlloc = "); ok {
			m.live, err = strconv.ParseFloat(digits, 64)
			m.seen = err == nil
		}
	}
	if !m.seen {
		return m, errors.New("there is no heap in the gateway's profile")
	}
	rss, err := s.gateway.RSS()
	m.rss = float64(rss)
	return m, err
}

// sent is the cost of publishing.
type sent struct {
	*loadresult.Result
	cpu    float64 // of the gateway for a delivery, in us, without its use when idle
	kernel float64 // the kernel's share of it
	others float64 // of the box, that other programs took
}

// publish has clients get messages; a rate of 0 sends each when the one before
// has come to all.
func (s *site) publish(ctx context.Context, clients int, channels string, size int, rate float64, messages int) (p sent, err error) {
	c := s.config
	c.Connections, c.Channels, c.Size, c.Rate, c.Messages = clients, channels, size, rate, messages
	p.others, err = s.lab.alone(s, func() (err error) {
		p.Result, err = checked(loadgen.Fanout(ctx, c, loadgen.Options{}))
		return err
	})
	if err != nil {
		return p, err
	}
	v, f := p.Server, p.Fanout
	p.cpu = (v.CPUPublishing - s.idle) * f.Effort.Seconds / float64(f.Delivered) * 1e6
	p.kernel = (v.After.CPUSystem - v.Connected.CPUSystem) / (v.After.CPU - v.Connected.CPU)
	return p, nil
}

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
