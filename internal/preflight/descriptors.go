package preflight

import (
	"fmt"
	"math"
	"strconv"
)

// descriptors is what one process opens.
func descriptors(t Target) int64 { return int64(t.Connections) + DescriptorReserve }

// openFiles is what our processes on the box open together.
func openFiles(t Target) int64 { return t.sockets() + t.processes()*DescriptorReserve }

func checkFileMax(k knob, e Env, t Target) Finding {
	needed := openFiles(t)
	// Without file-nr the rest of the box is taken for idle.
	if open, err := e.number(sysctlPath("fs.file-nr")); err == nil {
		needed += open
	}
	have, err := e.number(sysctlPath(k.name))
	if err != nil {
		return skipped(decimal(needed), err)
	}
	return Finding{Value: decimal(have), Needed: decimal(needed), Verdict: verdict(have >= needed)}
}

func checkHardLimit(k knob, e Env, t Target) Finding {
	needed := descriptors(t)
	_, hard, err := e.limits()
	if err != nil {
		return skipped(decimal(needed), err)
	}
	return Finding{
		Value:   limit(hard),
		Needed:  decimal(needed),
		Verdict: verdict(hard >= uint64(needed)),
		Fix:     fixLimit(hard >= uint64(needed), needed),
	}
}

// checkSoftLimit passes wherever the hard limit does: a soft limit is no
// obstacle to a process that raises it.
func checkSoftLimit(k knob, e Env, t Target) Finding {
	needed := descriptors(t)
	soft, hard, err := e.limits()
	if err != nil {
		return skipped(decimal(needed), err)
	}
	f := Finding{Value: limit(soft), Needed: decimal(needed), Verdict: Pass}
	switch {
	case soft >= uint64(needed):
		f.Why = "enough from the start"
	case hard < uint64(needed):
		f.Verdict, f.Why = Fix, "the hard limit keeps the process from raising it"
		f.Fix = fixLimit(false, needed)
	}
	return f
}

func (e Env) limits() (soft, hard uint64, err error) {
	if e.Descriptors == nil {
		return 0, 0, errNoFS
	}
	return e.Descriptors()
}

// fixLimit raises both limits of the shell that starts the process; under
// systemd the generated snippet does it.
func fixLimit(ok bool, n int64) string {
	if ok {
		return ""
	}
	return fmt.Sprintf("sudo prlimit --pid $$ --nofile=%d:%d", n, n)
}

func limit(n uint64) string {
	if n == math.MaxUint64 {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}
