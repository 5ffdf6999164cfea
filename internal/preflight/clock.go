package preflight

import (
	"slices"
	"strings"
)

const clocksourceDir = "/sys/devices/system/clocksource/clocksource0/"

// fastClocks are read in user space, slowClocks through a system call or from
// a device; what is in neither list is not judged.
var (
	fastClocks = []string{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource", "timebase", "tod"}
	slowClocks = []string{"acpi_pm", "hpet", "jiffies", "refined-jiffies", "pit", "xen"}
)

func checkClocksource(k knob, e Env, t Target) Finding {
	const needed = "tsc or kvm-clock"
	now, err := e.read(clocksourceDir + "current_clocksource")
	if err != nil {
		return skipped(needed, err)
	}
	f := Finding{Value: now, Needed: needed}
	switch {
	case slices.Contains(fastClocks, now):
		f.Verdict = Pass
		f.Why = "read in user space, without a system call"
	case !slices.Contains(slowClocks, now):
		f.Verdict, f.Why = Skip, "speed of this clock source is not known"
	default:
		f.Verdict, f.Fix = Fix, e.fixClock()
	}
	return f
}

// fixClock switches to the best source that the kernel trusts; where it trusts
// none, only the command line of the kernel can overrule it.
func (e Env) fixClock() string {
	available, _ := e.read(clocksourceDir + "available_clocksource")
	for _, c := range strings.Fields(available) {
		if slices.Contains(fastClocks, c) {
			return "echo " + c + " | sudo tee " + clocksourceDir + "current_clocksource"
		}
	}
	return `sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&tsc=reliable clocksource=tsc /' /etc/default/grub && sudo update-grub && sudo reboot`
}

func checkClockSync(k knob, e Env, t Target) Finding {
	const needed = "yes"
	if e.ClockSynced == nil {
		return Finding{Verdict: Skip, Needed: needed, Why: "can't be asked here"}
	}
	synced, err := e.ClockSynced()
	switch {
	case err != nil:
		return skipped(needed, err)
	case synced:
		return Finding{Verdict: Pass, Value: "yes", Needed: needed}
	}
	return Finding{
		Verdict: Skip, Value: "no", Needed: needed,
		Why: "the kernel knows of no NTP; fine if the host keeps the time, else tokens expire wrongly",
		Fix: "sudo timedatectl set-ntp true",
	}
}
