package report

import (
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/result"
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

// at measures a value by its place in the sample's JSON, where it was measured.
func at(path string) measure {
	first, _, _ := strings.Cut(path, ".")
	is := measured[first]
	return func(s *result.Sample) (float64, bool) {
		if is != nil && !is(s) {
			return 0, false
		}
		return result.Number(s, path)
	}
}

// measured tells, by the name of a value, whether a sample has it. Values not listed are in all
// samples, or are left out of the JSON.
var measured = map[string]func(*result.Sample) bool{
	"latency_from_due":         func(s *result.Sample) bool { return s.Due.Count > 0 }, // zero would be a very good latency
	"server_cpu":               func(s *result.Sample) bool { return s.Server != nil },
	"rss_per_connection_bytes": func(s *result.Sample) bool { return s.Server != nil && s.Open > 0 },
}

// columns follow seconds and phase.
var columns = []column{
	{"open", 0, at("open")},
	{"ready", 0, at("ready")},
	{"failed", 0, at("failed")},
	{"lost", 0, at("lost")},
	{"published", 0, at("published")},
	{"expected", 0, at("expected")},
	{"delivered", 0, at("delivered")},
	{"ready_per_second", 1, at("ready_per_second")},
	{"delivered_per_second", 1, at("delivered_per_second")},
	{"latency_p50_ns", 0, at("latency_from_due.p50_ns")},
	{"latency_p90_ns", 0, at("latency_from_due.p90_ns")},
	{"latency_p99_ns", 0, at("latency_from_due.p99_ns")},
	{"latency_p999_ns", 0, at("latency_from_due.p999_ns")},
	{"latency_max_ns", 0, at("latency_from_due.max_ns")},
	{"server_rss_bytes", 0, at("server.rss_bytes")},
	{"server_anon_bytes", 0, at("server.rss_anon_bytes")},
	{"server_rss_per_connection_bytes", 1, at("rss_per_connection_bytes")},
	{"server_cpus", 3, at("server_cpu")},
	{"server_threads", 0, at("server.threads")},
	{"server_descriptors", 0, at("server.descriptors")},
	{"server_heap_in_use_bytes", 0, at("metrics.heap_in_use_bytes")},
	{"kernel_slab_bytes", 0, at("kernel.slab_bytes")},
	{"kernel_tcp_memory_bytes", 0, at("kernel.tcp_memory_bytes")},
	{"kernel_tcp_sockets", 0, at("kernel.tcp_sockets")},
	{"kernel_listen_overflows", 0, at("kernel.listen_overflows")},
	{"host_cpu_share", 3, at("host_cpu")},
	{"self_cpus", 3, at("self_cpu")},
	{"self_loop_busy", 3, at("loop_busy")},
	{"away", 0, at("away")},
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
