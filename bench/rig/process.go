// Package rig is the frame of the benchmarks: the programs that they start, with
// their CPU clocks and memory, the machine, flags and figures.
package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
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

// Piped is a program that prints its address on its first line, and takes
// commands on its standard input.
type Piped struct {
	*Process
	Listen netip.AddrPort
	In     io.Writer
	Out    *bufio.Reader
}

// LaunchPiped starts cmd and reads its address.
func LaunchPiped(name string, cmd *exec.Cmd) (*Piped, error) {
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, err
	}
	p := &Piped{In: in, Out: bufio.NewReader(out)}
	var err error
	if p.Process, err = Launch(name, cmd); err != nil {
		return nil, err
	}
	line, err := p.Out.ReadString('\n')
	if err == nil {
		p.Listen, err = netip.ParseAddrPort(strings.TrimSpace(line))
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("start %s: %w; its log:\n%s", name, err, p.Log())
	}
	return p, nil
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

// RSS returns the process's resident memory in bytes. Unlike probe.Process it
// counts no descriptors, of which there may be a million.
func (p *Process) RSS() (int64, error) {
	sizes, err := probe.Kilobytes(fmt.Sprintf("/proc/%d/status", p.PID()))
	return int64(sizes["VmRSS"]), err
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
