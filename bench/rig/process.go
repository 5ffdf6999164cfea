// Package rig is the frame of the benchmarks: the programs that they start, with
// their CPU clocks and memory, the machine, flags and figures.
package rig

import (
	"context"
	"os/exec"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
)

// Process is a running program.
type Process struct {
	*probe.Program
	Name string
}

// Launch starts cmd, which is killed when this process dies.
func Launch(name string, cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err := probe.Start(name, cmd)
	return &Process{p, name}, err
}

// Ready calls try until it succeeds, as long as the program runs.
func (p *Process) Ready(ctx context.Context, awaited string, try func(context.Context) error) error {
	return p.Until(ctx, time.Minute, awaited, try)
}

// CPU returns the CPU time that the process has used, 0 once it has ended: that
// fails its clients.
func (p *Process) CPU() time.Duration {
	used, _ := probe.CPU(p.PID())
	return used
}

// RSS returns the process's resident memory in bytes.
func (p *Process) RSS() (int64, error) {
	s, err := probe.Process(p.PID())
	return int64(s.RSS), err
}

// Pause waits for d, to let the programs run by themselves.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// Steady reads a value n times, 100 ms apart, and returns the median: memory over
// a second is steadier than one reading, as collectors and allocators are at work.
func Steady(ctx context.Context, n int, read func() (int64, error)) (float64, error) {
	var samples []float64
	for range n {
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
		v, err := read()
		if err != nil {
			return 0, err
		}
		samples = append(samples, float64(v))
	}
	return Median(samples), nil
}

// Machine is where a benchmark ran.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"` // bytes
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// ThisMachine describes the one that this process runs on.
func ThisMachine() Machine {
	h := probe.ThisHost()
	return Machine{CPU: probe.CPUModel(), CPUs: h.CPUs, Memory: int64(h.Memory), Kernel: h.Kernel, Go: h.Go}
}
