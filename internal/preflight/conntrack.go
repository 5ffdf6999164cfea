package preflight

import "fmt"

// hashsize is where the number of buckets can be written on every kernel; the
// sysctl is read-only before Linux 4.7.
const hashsize = "/sys/module/nf_conntrack/parameters/hashsize"

// conntrackEntries is what our connections put into the table: a closed one
// stays beside the one of the client that came back. A connection over
// loopback is one entry for both of its ends.
func conntrackEntries(t Target) int64 { return 2 * int64(t.Connections) }

// conntrackLoaded reports whether connection tracking is in the kernel.
func (e Env) conntrackLoaded() bool {
	_, err := e.read(sysctlPath("net.netfilter.nf_conntrack_max"))
	return err == nil
}

const notTracked = "connection tracking is not loaded"

func checkConntrack(k knob, e Env, t Target) Finding {
	needed := conntrackEntries(t)
	have, err := e.number(sysctlPath(k.name))
	if err != nil {
		return Finding{Verdict: Skip, Needed: decimal(needed), Why: notTracked}
	}
	if count, err := e.number(sysctlPath("net.netfilter.nf_conntrack_count")); err == nil {
		needed += count
	}
	f := Finding{Value: decimal(have), Needed: decimal(needed), Verdict: verdict(have >= needed)}
	if f.Verdict == Fix {
		f.Setting = decimal(needed)
	}
	return f
}

func checkConntrackBuckets(k knob, e Env, t Target) Finding {
	needed := conntrackEntries(t) / 4
	if !e.conntrackLoaded() {
		return Finding{Verdict: Skip, Needed: decimal(needed), Why: notTracked}
	}
	have, err := e.number(sysctlPath(k.name))
	if err != nil {
		return skipped(decimal(needed), err)
	}
	f := Finding{Value: decimal(have), Needed: decimal(needed), Verdict: verdict(have >= needed)}
	if f.Verdict == Fix {
		f.Fix = fmt.Sprintf("echo %s | sudo tee %s", k.setting(t), hashsize)
	}
	return f
}
