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

// Env reads the box. The zero value is a box of which nothing is known: every
// knob is skipped.
type Env struct {
	// FS is the root of the file system, of which /proc and /sys are read.
	FS fs.FS
	// Descriptors returns the soft and hard limit on open files.
	Descriptors func() (soft, hard uint64, err error)
	// ClockSynced reports whether something keeps the clock right.
	ClockSynced func() (bool, error)
	// Redis returns one parameter as CONFIG GET knows it; nil when there is
	// no Redis to ask. It may block; Run calls it on its own goroutine. Where
	// Redis is there and refuses, the error wraps a *RedisError.
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

// limits returns the limits on open files; the largest number stands for none.
func (e Env) limits() (soft, hard int64, err error) {
	if e.Descriptors == nil {
		return 0, 0, errNoFS
	}
	s, h, err := e.Descriptors()
	return int64(min(s, math.MaxInt64)), int64(min(h, math.MaxInt64)), err
}

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

// numbers returns the first n numbers of a file of numbers.
func (e Env) numbers(name string, n int) ([]int64, error) {
	s, err := e.read(name)
	if err != nil {
		return nil, err
	}
	all, err := parseNumbers(strings.Fields(s), n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
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

// parseNumbers reads the first n of some numbers, all of which must be some.
func parseNumbers(words []string, n int) (all []int64, err error) {
	for _, word := range words {
		v, err := parseNumber(word)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	if len(all) < n {
		return nil, fmt.Errorf("%d numbers, want %d", len(all), n)
	}
	return all[:n], nil
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
