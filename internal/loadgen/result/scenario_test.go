package result

import (
	"testing"

	"github.com/pushgate/pushgate/internal/probe"
)

func TestKernelPerConnection(t *testing.T) {
	k := Kernel{Before: probe.KernelSample{Slab: 1000, TCPMemory: 50}, After: probe.KernelSample{Slab: 5000, TCPMemory: 150}}
	if k.PerConnection(k.After, 100); k.SlabPerConnection != 40 || k.TCPPerConnection != 1 {
		t.Errorf("got %+v", k)
	}
}

// The peak is taken over the time with the slow clients, wherever the series has higher values
// before or after.
func TestSlowPeak(t *testing.T) {
	at := func(s float64, rss, tcp uint64) Sample {
		return Sample{Seconds: s, Server: &probe.ProcessSample{RSS: rss}, Kernel: &probe.KernelSample{TCPMemory: tcp}}
	}
	x := Slow{Clients: 10, Baseline: &Sent{}, Before: &probe.ProcessSample{RSS: 1000}, After: &probe.ProcessSample{RSS: 1500}, From: 2, To: 4}
	x.Peak([]Sample{at(1, 9000, 90), at(2.5, 1200, 7), at(3.5, 3000, 5), {Seconds: 3.7}, at(5, 9000, 90)})
	if x.PeakRSS != 3000 || x.PeakTCP != 7 || x.Memory != 200 {
		t.Errorf("got %+v", x)
	}
	// In a mix everything else grows as well.
	r := &Result{Slow: &Slow{Clients: 10, Before: x.Before, After: x.After, From: 2, To: 4}}
	r.Slow.Peak([]Sample{at(3.5, 3000, 5)})
	if r.Judge(mustSLOs(t, "rss_per_slow_client<1GiB")); r.SLOs[0].Measured || r.Slow.Memory != 0 {
		t.Errorf("%+v, %+v", r.SLOs, r.Slow)
	}
}
