package loadgen

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pushgate/pushgate/internal/probe"
)

// serverProcess is the process that the run measures.
type serverProcess struct {
	name   string
	family bool // with all that descend from it
	pid    atomic.Int64
}

// errNoProcess says that the target's process can't be found, for example
// because it belongs to another user or another host.
var errNoProcess = errors.New("the server's process was not found: name it with --pid, or run as its user")

// findServer finds the process by its id, or the one that listens at the target
// if pid is 0.
func findServer(pid int, target *Target, family bool) (*serverProcess, error) {
	w := &serverProcess{family: family}
	w.pid.Store(int64(pid))
	if pid == 0 {
		if err := w.find(target); err != nil {
			return nil, err
		}
	}
	w.name = probe.Name(w.PID())
	if w.name == "" {
		return nil, &UsageError{Flag: "--pid", Value: fmt.Sprint(pid), Want: "no such process"}
	}
	_, err := w.sample()
	return w, err
}

// find looks for the process that listens at the target now.
func (w *serverProcess) find(target *Target) error {
	pid, err := probe.Listener(target.Addrs, target.Socket)
	switch {
	case errors.Is(err, probe.ErrNoListener):
		return errNoProcess
	case err != nil:
		return err
	case w.family:
		pid = probe.FamilyHead(pid)
	}
	w.pid.Store(int64(pid))
	return nil
}

// PID returns the process's id, 0 where no process is known.
func (w *serverProcess) PID() int {
	if w == nil {
		return 0
	}
	return int(w.pid.Load())
}

func (w *serverProcess) sample() (probe.ProcessSample, error) {
	if w.family {
		return probe.Family(w.PID())
	}
	return probe.Process(w.PID())
}
