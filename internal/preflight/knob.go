package preflight

import (
	"fmt"
	"strconv"
	"strings"
)

// knob is one row of the table.
type knob struct {
	name string
	side Side
	// why is one line for the report: what happens where it is too small.
	why string
	// formula says how the needed value comes about, and from where: for the
	// generated files and the manual.
	formula string
	// check compares the box with the target. It fills in value, needed and
	// verdict, and what differs from the row's own why, setting and fix.
	check func(k knob, e Env, t Target) Finding
	// setting is the value for sysctl.conf; nil when the knob is no sysctl.
	setting func(t Target) string
	// unit is the line for the systemd snippet; nil when there is none.
	unit func(t Target) string
}

// run checks the knob and completes the finding from the row.
func (k knob) run(e Env, t Target) Finding {
	f := k.check(k, e, t)
	f.Name, f.Side = k.name, k.side
	if k.side == Both {
		f.Side = t.Side
	}
	if f.Why == "" {
		f.Why = k.why
	}
	if f.Setting == "" && k.setting != nil {
		f.Setting = k.setting(t)
	}
	if f.Verdict == Fix && f.Fix == "" && f.Setting != "" {
		f.Fix = sysctlCommand(k.name, f.Setting)
	}
	return f
}

// sysctlCommand is the command that sets a sysctl until the next boot.
func sysctlCommand(name, value string) string {
	if strings.ContainsRune(value, ' ') {
		value = strconv.Quote(value)
	}
	return fmt.Sprintf("sudo sysctl -w %s=%s", name, value)
}

// skipped is the finding for what can't be read.
func skipped(needed string, err error) Finding {
	return Finding{Verdict: Skip, Needed: needed, Why: unreadable(err)}
}

// verdict is Pass or Fix.
func verdict(ok bool) Verdict {
	if ok {
		return Pass
	}
	return Fix
}

// atLeast checks a sysctl whose first number has to reach want.
func atLeast(want func(Target) int64) func(knob, Env, Target) Finding {
	return func(k knob, e Env, t Target) Finding {
		needed := want(t)
		have, err := e.number(sysctlPath(k.name))
		if err != nil {
			return skipped(decimal(needed), err)
		}
		return Finding{Value: decimal(have), Needed: decimal(needed), Verdict: verdict(have >= needed)}
	}
}

// decimal writes n; the largest number stands for the absence of a limit.
func decimal(n int64) string {
	if n == 1<<63-1 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// spaced writes numbers the way sysctl takes them.
func spaced(n ...int64) string {
	s := make([]string, len(n))
	for i, v := range n {
		s[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(s, " ")
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// roundUp returns the next power of two that is not below n.
func roundUp(n int64) int64 {
	p := int64(1)
	for p < n {
		p <<= 1
	}
	return p
}
