package report

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// measure returns a value of a sample; false where it was not measured.
type measure func(*result.Sample) (v float64, known bool)

// column is one of series.csv: its text is empty where the value was not
// measured. Charts and comparisons take their values from here too.
type column struct {
	name   string
	digits int // after the point
	of     measure
}

func always(of func(*result.Sample) float64) measure {
	return func(s *result.Sample) (float64, bool) { return of(s), true }
}

func counter(name string, of func(*result.Sample) uint64) column {
	return column{name, 0, always(func(s *result.Sample) float64 { return float64(of(s)) })}
}

// latency leaves the seconds without a delivery empty: zero would be a very
// good latency.
func latency(of func(account.Latency) float64) measure {
	return func(s *result.Sample) (float64, bool) { return of(s.Due), s.Due.Count > 0 }
}

func ofServer(name string, digits int, of func(*result.Sample) float64) column {
	return column{name, digits, func(s *result.Sample) (float64, bool) {
		if s.Server == nil {
			return 0, false
		}
		return of(s), true
	}}
}

func ofKernel(name string, of func(*probe.KernelSample) float64) column {
	return column{name, 0, func(s *result.Sample) (float64, bool) {
		if s.Kernel == nil {
			return 0, false
		}
		return of(s.Kernel), true
	}}
}

// columns follow seconds and phase.
var columns = []column{
	counter("open", func(s *result.Sample) uint64 { return s.Open }),
	counter("ready", func(s *result.Sample) uint64 { return s.Ready }),
	counter("failed", func(s *result.Sample) uint64 { return s.Failed }),
	counter("lost", func(s *result.Sample) uint64 { return s.Lost }),
	counter("published", func(s *result.Sample) uint64 { return s.Published }),
	counter("expected", func(s *result.Sample) uint64 { return s.Expected }),
	counter("delivered", func(s *result.Sample) uint64 { return s.Delivered }),
	{"ready_per_second", 1, always(func(s *result.Sample) float64 { return s.ReadyPS })},
	{"delivered_per_second", 1, always(func(s *result.Sample) float64 { return s.DeliveredPS })},
	{"latency_p50_ns", 0, latency(func(l account.Latency) float64 { return float64(l.P50) })},
	{"latency_p90_ns", 0, latency(func(l account.Latency) float64 { return float64(l.P90) })},
	{"latency_p99_ns", 0, latency(func(l account.Latency) float64 { return float64(l.P99) })},
	{"latency_p999_ns", 0, latency(func(l account.Latency) float64 { return float64(l.P999) })},
	{"latency_max_ns", 0, latency(func(l account.Latency) float64 { return float64(l.Max) })},
	ofServer("server_rss_bytes", 0, func(s *result.Sample) float64 { return float64(s.Server.RSS) }),
	ofServer("server_anon_bytes", 0, func(s *result.Sample) float64 { return float64(s.Server.Anon) }),
	{"server_rss_per_connection_bytes", 1, func(s *result.Sample) (float64, bool) {
		return s.RSSPerConnection, s.Server != nil && s.Open > 0
	}},
	ofServer("server_cpus", 3, func(s *result.Sample) float64 { return s.ServerCPU }),
	ofServer("server_threads", 0, func(s *result.Sample) float64 { return float64(s.Server.Threads) }),
	ofServer("server_descriptors", 0, func(s *result.Sample) float64 { return float64(s.Server.Descriptors) }),
	{"server_heap_in_use_bytes", 0, func(s *result.Sample) (float64, bool) {
		if s.Metrics == nil {
			return 0, false
		}
		return float64(s.Metrics.HeapInUse), true
	}},
	ofKernel("kernel_slab_bytes", func(k *probe.KernelSample) float64 { return float64(k.Slab) }),
	ofKernel("kernel_tcp_memory_bytes", func(k *probe.KernelSample) float64 { return float64(k.TCPMemory) }),
	ofKernel("kernel_tcp_sockets", func(k *probe.KernelSample) float64 { return float64(k.Sockets) }),
	ofKernel("kernel_listen_overflows", func(k *probe.KernelSample) float64 { return float64(k.Overflows) }),
	{"host_cpu_share", 3, always(func(s *result.Sample) float64 { return s.HostCPU })},
	{"self_cpus", 3, always(func(s *result.Sample) float64 { return s.SelfCPU })},
	{"self_loop_busy", 3, always(func(s *result.Sample) float64 { return s.LoopBusy })},
	counter("away", func(s *result.Sample) uint64 { return s.Away }),
}

// columnOf returns the values of a column.
func columnOf(name string) measure {
	i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	if i < 0 {
		panic(fmt.Sprintf("report: no column %s", name)) // a column was renamed: every test of this package fails
	}
	return columns[i].of
}

// times returns the values in another unit.
func (m measure) times(factor float64) measure {
	return func(s *result.Sample) (float64, bool) {
		v, known := m(s)
		return v * factor, known
	}
}

// positive takes zeros for values that were not measured.
func (m measure) positive() measure {
	return func(s *result.Sample) (float64, bool) {
		v, known := m(s)
		return v, known && v > 0
	}
}

// seriesHead is the first line of series.csv.
func seriesHead() []string {
	fields := []string{"seconds", "phase"}
	for _, c := range columns {
		fields = append(fields, c.name)
	}
	return fields
}

func seriesLine(s *result.Sample) []string {
	fields := []string{strconv.FormatFloat(s.Seconds, 'f', 3, 64), string(s.Phase)}
	for _, c := range columns {
		text := ""
		if v, known := c.of(s); known {
			text = strconv.FormatFloat(v, 'f', c.digits, 64)
		}
		fields = append(fields, text)
	}
	return fields
}
