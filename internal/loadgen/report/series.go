package report

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// column is one of series.csv; an empty text is a value that was not measured.
type column struct {
	name string
	text func(*loadgen.Sample) string
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func decimal(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// ofLatency leaves the seconds without a delivery empty: zero would be a very
// good latency.
func ofLatency(of func(loadgen.Latency) int64) func(*loadgen.Sample) string {
	return func(s *loadgen.Sample) string {
		if s.Due.Count == 0 {
			return ""
		}
		return strconv.FormatInt(of(s.Due), 10)
	}
}

func ofServer(of func(*loadgen.ProcessSample) string) func(*loadgen.Sample) string {
	return func(s *loadgen.Sample) string {
		if s.Server == nil {
			return ""
		}
		return of(s.Server)
	}
}

func ofKernel(of func(*loadgen.KernelSample) string) func(*loadgen.Sample) string {
	return func(s *loadgen.Sample) string {
		if s.Kernel == nil {
			return ""
		}
		return of(s.Kernel)
	}
}

var columns = []column{
	{"seconds", func(s *loadgen.Sample) string { return decimal(s.Seconds, 3) }},
	{"phase", func(s *loadgen.Sample) string { return string(s.Phase) }},
	{"open", func(s *loadgen.Sample) string { return count(s.Open) }},
	{"ready", func(s *loadgen.Sample) string { return count(s.Ready) }},
	{"failed", func(s *loadgen.Sample) string { return count(s.Failed) }},
	{"lost", func(s *loadgen.Sample) string { return count(s.Lost) }},
	{"published", func(s *loadgen.Sample) string { return count(s.Published) }},
	{"expected", func(s *loadgen.Sample) string { return count(s.Expected) }},
	{"delivered", func(s *loadgen.Sample) string { return count(s.Delivered) }},
	{"ready_per_second", func(s *loadgen.Sample) string { return decimal(s.ReadyPS, 1) }},
	{"delivered_per_second", func(s *loadgen.Sample) string { return decimal(s.DeliveredPS, 1) }},
	{"latency_p50_ns", ofLatency(func(l loadgen.Latency) int64 { return l.P50 })},
	{"latency_p90_ns", ofLatency(func(l loadgen.Latency) int64 { return l.P90 })},
	{"latency_p99_ns", ofLatency(func(l loadgen.Latency) int64 { return l.P99 })},
	{"latency_p999_ns", ofLatency(func(l loadgen.Latency) int64 { return l.P999 })},
	{"latency_max_ns", ofLatency(func(l loadgen.Latency) int64 { return l.Max })},
	{"server_rss_bytes", ofServer(func(p *loadgen.ProcessSample) string { return count(p.RSS) })},
	{"server_anon_bytes", ofServer(func(p *loadgen.ProcessSample) string { return count(p.Anon) })},
	{"server_rss_per_connection_bytes", func(s *loadgen.Sample) string {
		if s.Server == nil || s.Open == 0 {
			return ""
		}
		return decimal(s.RSSPerConnection, 1)
	}},
	{"server_cpus", func(s *loadgen.Sample) string {
		if s.Server == nil {
			return ""
		}
		return decimal(s.ServerCPU, 3)
	}},
	{"server_threads", ofServer(func(p *loadgen.ProcessSample) string { return strconv.Itoa(p.Threads) })},
	{"server_descriptors", ofServer(func(p *loadgen.ProcessSample) string { return strconv.Itoa(p.Descriptors) })},
	{"server_heap_in_use_bytes", func(s *loadgen.Sample) string {
		if s.Metrics == nil {
			return ""
		}
		return count(s.Metrics.HeapInUse)
	}},
	{"kernel_slab_bytes", ofKernel(func(k *loadgen.KernelSample) string { return count(k.Slab) })},
	{"kernel_tcp_memory_bytes", ofKernel(func(k *loadgen.KernelSample) string { return count(k.TCPMemory) })},
	{"kernel_tcp_sockets", ofKernel(func(k *loadgen.KernelSample) string { return strconv.Itoa(k.Sockets) })},
	{"kernel_listen_overflows", ofKernel(func(k *loadgen.KernelSample) string { return count(k.Overflows) })},
	{"host_cpu_share", func(s *loadgen.Sample) string { return decimal(s.HostCPU, 3) }},
	{"self_cpus", func(s *loadgen.Sample) string { return decimal(s.SelfCPU, 3) }},
	{"self_loop_busy", func(s *loadgen.Sample) string { return decimal(s.LoopBusy, 3) }},
	{"away", func(s *loadgen.Sample) string { return count(s.Away) }},
}

// seriesLog writes series.csv, a line at a time.
type seriesLog struct {
	file *os.File
	out  *bufio.Writer
}

func newSeriesLog(name string) (*seriesLog, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	l := &seriesLog{file: f, out: bufio.NewWriter(f)}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return l, l.line(names)
}

// line writes what needs no quotes: numbers and words of our own.
func (l *seriesLog) line(fields []string) error {
	l.out.WriteString(strings.Join(fields, ","))
	l.out.WriteByte('\n')
	return l.out.Flush()
}

func (l *seriesLog) add(s loadgen.Sample) error {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = c.text(&s)
	}
	return l.line(fields)
}

func (l *seriesLog) close() error { return l.file.Close() }
