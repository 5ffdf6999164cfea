package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// process is a running program.
type process struct {
	// Immutable
	name string
	cmd  *exec.Cmd

	log tail
}

// launch starts cmd, which is killed when ctx ends or this process does. What
// it writes to standard error is kept for an error's text.
func launch(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd}
	cmd.Stderr = &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// kill ends the program and waits for it.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// cpu returns the CPU time that the process has used, user and system, its
// exited threads included. It is the kernel's clock of the process
// (clock_getcpuclockid), in nanoseconds and up to date even while its threads
// run, which neither /proc/PID/stat nor the tasks' schedstat are.
func (p *process) cpu() (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	clock := ^int32(p.cmd.Process.Pid)<<3 | schedClock
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("read the CPU clock of %s: %w", p.name, errno)
	}
	return time.Duration(t.Nano()), nil
}

// checkCPU compares the clock with the ticks of /proc/PID/stat, as a check on
// both.
func (p *process) checkCPU() error {
	start := time.Now()
	clock, err := p.cpu()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
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
			return fmt.Errorf("CPU time of %s: %w", p.name, err)
		}
		ticks += n
	}
	stat := time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
	// Each of the two is rounded down, and it may run between the readings.
	allowed := 50*time.Millisecond + clock/100 + 8*time.Since(start)
	if (clock - stat).Abs() > allowed {
		return fmt.Errorf("CPU time of %s: its clock says %v, /proc/PID/stat %v", p.name, clock, stat)
	}
	return nil
}

// rss returns the resident anonymous and file pages in bytes.
func (p *process) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var sum, found int64
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "RssAnon" && name != "RssFile" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s of %s: %w", name, p.name, err)
		}
		sum += n << 10
		found++
	}
	if found != 2 {
		return 0, fmt.Errorf("%s: no RssAnon and RssFile in its status", p.name)
	}
	return sum, nil
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

// freeAddress returns an address of this machine on which nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// until calls try until it succeeds.
func until(ctx context.Context, what string, try func() error) error {
	const most = 30 * time.Second
	end := time.Now().Add(most)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s after %v: %w", what, most, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
