package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// Env is how the box is read. The zero value is a box of which nothing is
// known: every knob is skipped.
type Env struct {
	// FS is the root of the file system, of which /proc and /sys are read.
	FS fs.FS
	// Descriptors returns the soft and hard limit on open files.
	Descriptors func() (soft, hard uint64, err error)
	// ClockSynced reports whether something keeps the clock right.
	ClockSynced func() (bool, error)
	// Redis returns one parameter as CONFIG GET knows it; nil when there is
	// no Redis to ask. It may block; Run calls it on its own goroutine. Where
	// Redis is there and won't say, the error wraps a *RedisError.
	Redis func(parameter string) (string, error)
}

// Host returns the box that the process runs on, without Redis.
func Host() Env {
	return Env{FS: os.DirFS("/"), Descriptors: descriptorLimit, ClockSynced: clockSynced}
}

func descriptorLimit() (soft, hard uint64, err error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, fmt.Errorf("getrlimit: %w", err)
	}
	return r.Cur, r.Max, nil
}

// clockSynced asks the kernel's clock discipline; adjtimex(2) without modes
// only reads. State 5 is TIME_ERROR: nobody has set the clock.
func clockSynced() (bool, error) {
	var tx syscall.Timex
	state, err := syscall.Adjtimex(&tx)
	if err != nil {
		return false, fmt.Errorf("adjtimex: %w", err)
	}
	return state != 5, nil
}

var errNoFS = errors.New("no /proc")

// read returns a file of the box without the space around it.
func (e Env) read(name string) (string, error) {
	if e.FS == nil {
		return "", errNoFS
	}
	b, err := fs.ReadFile(e.FS, strings.TrimPrefix(name, "/"))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// numbers returns the numbers that a file consists of.
func (e Env) numbers(name string, atLeast int) ([]int64, error) {
	s, err := e.read(name)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, f := range strings.Fields(s) {
		n, err := parseNumber(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, n)
	}
	if len(out) < atLeast {
		return nil, fmt.Errorf("%s: %d numbers, want %d", name, len(out), atLeast)
	}
	return out, nil
}

// number returns the first number of a file.
func (e Env) number(name string) (int64, error) {
	n, err := e.numbers(name, 1)
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// field returns the number that follows a word at the start of a line, as in
// /proc/meminfo and memory.stat.
func (e Env) field(name, word string) (int64, error) {
	s, err := e.read(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(s) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == word {
			return parseNumber(f[1])
		}
	}
	return 0, fmt.Errorf("%s: no %s", name, word)
}

// parseNumber reads a decimal number; one too large for 64 bits, which older
// kernels print for "no limit", is the largest there is.
func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) && n > 0 {
		return math.MaxInt64, nil
	}
	return n, err
}

// sysctlPath is where /proc keeps a sysctl.
func sysctlPath(name string) string {
	return path.Join("proc/sys", strings.ReplaceAll(name, ".", "/"))
}

// unreadable says in a few words why a file gave no value.
func unreadable(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "not visible here; inside a container, ask on the host"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it"
	}
	return "not readable: " + err.Error()
}
