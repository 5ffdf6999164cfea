// Package rig is the frame of the benchmarks: the programs that they start, with
// their CPU clocks and memory, the machine, flags, figures and results.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Process is a running program.
type Process struct {
	// Immutable
	Name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed by the goroutine that waits for the program

	// Set before ended is closed
	err error // how the program ended

	log tail
}

// Launch starts cmd, which is killed when this process dies. What it writes to
// standard error is kept for an error's text unless cmd says otherwise. A
// goroutine waits for the program; Kill ends both.
func Launch(name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, cmd: cmd, ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// PID returns the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns the end of what the program wrote to standard error.
func (p *Process) Log() string { return p.log.String() }

// Terminate asks the program to end.
func (p *Process) Terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// Wait waits for the program to end by itself, and returns how it did.
func (p *Process) Wait(most time.Duration) error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(most):
		return fmt.Errorf("%s still runs after %v", p.Name, most)
	}
}

// Kill ends the program and waits for it.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Until calls try until it succeeds, as long as the program runs.
func (p *Process) Until(ctx context.Context, what string, try func() error) error {
	const most = time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("after %v", most))
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			err = errors.Join(context.Cause(ctx), err)
		case <-p.ended:
			err = errors.Join(fmt.Errorf("%s ended", p.Name), p.err, err)
		case <-time.After(5 * time.Millisecond):
			continue
		}
		return fmt.Errorf("%s: %w; the log of %s: %s", what, err, p.Name, p.Log())
	}
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

// Spent runs work and returns by how much a clock went on meanwhile.
func Spent(clock func() (time.Duration, error), work func() error) (time.Duration, error) {
	before, err := clock()
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := clock()
	return after - before, err
}

// Sample reads a value n times, 100 ms apart: the median of memory over a
// second is steadier than one reading, as collectors and allocators are at work.
func Sample(ctx context.Context, n int, read func() (int64, error)) (samples Values, err error) {
	for range n {
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
		v, err := read()
		if err != nil {
			return nil, err
		}
		samples = append(samples, float64(v))
	}
	return samples, nil
}

// CPU returns the CPU time that the process has used.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.PID()) }

// RSS returns the process's resident memory in bytes.
func (p *Process) RSS() (int64, error) { return RSS(p.PID()) }

// CPU returns the CPU time that a process has used, user and system, its
// exited threads included. It is the kernel's clock of the process
// (clock_getcpuclockid), in nanoseconds and up to date even while its threads
// run, which neither /proc/PID/stat nor the tasks' schedstat are.
func CPU(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	clock := ^int32(pid)<<3 | schedClock
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// CheckCPU compares the process's clock with the ticks of /proc/PID/stat, as a
// check on both.
func (p *Process) CheckCPU() error {
	start := time.Now()
	clock, err := p.CPU()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return err
	}
	// The name, in parentheses, may contain anything; utime and stime are the
	// 14th and 15th field, 12 and 13 after it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return fmt.Errorf("CPU time of %s: %w", p.Name, err)
		}
		ticks += n
	}
	stat := time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
	// Each of the two is rounded down, and it may run between the readings.
	allowed := 50*time.Millisecond + clock/100 + 8*time.Since(start)
	if (clock - stat).Abs() > allowed {
		return fmt.Errorf("CPU time of %s: its clock says %v, /proc/PID/stat %v", p.Name, clock, stat)
	}
	return nil
}

// RSS returns a process's resident anonymous and file pages in bytes.
func RSS(pid int) (int64, error) {
	fields, err := Kilobytes(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	anon, hasAnon := fields["RssAnon"]
	file, hasFile := fields["RssFile"]
	if !hasAnon || !hasFile {
		return 0, fmt.Errorf("process %d: no RssAnon and RssFile in its status", pid)
	}
	return anon + file, nil
}

// Kilobytes reads the lines "name: number kB" of a file, in bytes.
func Kilobytes(name string) (map[string]int64, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fields := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && words[2] == "kB" {
			if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
				fields[strings.TrimSuffix(words[0], ":")] = n << 10
			}
		}
	}
	return fields, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	// Guarded by mu
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - most; extra > 0 {
		t.text = t.text[extra:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
