package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// observer samples the server and the kernel for a run, and books the samples.
type observer struct {
	notes

	// Immutable
	watch   *serverProcess       // nil: not found
	metrics *metricsWatch        // nil: no --admin
	kernel  *probe.Kernel        // nil: can't be read
	atStart *probe.ProcessSample // of the server, before the first client; nil: not read

	// Owned by the scenario
	unread    bool   // the server's process could not be read
	restarted bool   // the server's process is another one than before
	top       uint64 // clients that were connected when the books on that were made
}

// sampleServer returns the server's figures, nil where they can't be had.
func (b *observer) sampleServer() *probe.ProcessSample {
	if b.watch == nil {
		return nil
	}
	s, err := b.watch.sample()
	if err != nil {
		if !b.unread {
			b.unread = true
			b.warn("the server's process can't be read any more: %v; its figures are not measured", err)
		}
		if b.result.Server != nil {
			b.result.Server.Unread = true
		}
		return nil
	}
	return &s
}

// bookServer takes a sample for the result.
func (b *observer) bookServer(into *probe.ProcessSample) {
	if s := b.sampleServer(); s != nil {
		*into = *s
	}
}

// watchServer begins the books on the server's process.
func (b *observer) watchServer() {
	if b.watch != nil {
		s := &result.Server{PID: b.watch.PID(), Name: b.watch.name}
		b.result.Server = s
		b.bookServer(&s.Before)
		s.MetricsBefore, _ = b.sampleMetrics()
	}
	if b.kernel != nil {
		if k, err := b.kernel.Sample(); err == nil {
			b.result.Kernel = &result.Kernel{Before: k}
		}
	}
}

// sampleMetrics reads the gateway's metrics; nil without --admin.
func (b *observer) sampleMetrics() (*result.MetricsSample, error) {
	if b.metrics == nil {
		return nil, nil
	}
	m, err := b.metrics.sample(context.Background())
	if err != nil {
		return nil, err
	}
	return &m, nil
}

// sampleKernel reads the kernel's figures; where they can't be had any more,
// the result has none.
func (b *observer) sampleKernel(into *probe.KernelSample) {
	s, err := b.kernel.Sample()
	if err != nil {
		b.warn("the kernel's figures can't be read any more: %v", err)
		b.result.Kernel = nil
		return
	}
	*into = s
}

// bookConnected notes how server and kernel are once the clients are up.
func (b *observer) bookConnected(open uint64) {
	b.top = open
	if s := b.result.Server; s != nil {
		b.bookServer(&s.Connected)
		s.MetricsConnected, _ = b.sampleMetrics()
	}
	if k := b.result.Kernel; k != nil {
		b.sampleKernel(&k.Connected)
	}
}

// serverProcess is the process that the run measures.
type serverProcess struct {
	name   string
	family bool // with all that descend from it
	pid    atomic.Int64
}

// errNoProcess says that the target's process can't be found, for example
// because it belongs to another user or another host.
var errNoProcess = errors.New("the server's process was not found: name it with --pid, or run as its user")

// findServer finds the process by its id, or the one that listens at the target
// if pid is 0.
func findServer(pid int, target *plan.Target, family bool) (*serverProcess, error) {
	w := &serverProcess{family: family}
	w.pid.Store(int64(pid))
	if pid == 0 {
		if err := w.find(target); err != nil {
			return nil, err
		}
	}
	w.name = probe.Name(w.PID())
	if w.name == "" {
		return nil, &plan.UsageError{Flag: "--pid", Value: fmt.Sprint(pid), Want: "no such process"}
	}
	_, err := w.sample()
	return w, err
}

// find looks for the process that listens at the target now.
func (w *serverProcess) find(target *plan.Target) error {
	pid, err := probe.Listener(target.Addrs, target.Socket)
	switch {
	case errors.Is(err, probe.ErrNoListener):
		return errNoProcess
	case err != nil:
		return err
	case w.family:
		pid = probe.FamilyHead(pid)
	}
	w.pid.Store(int64(pid))
	return nil
}

// PID returns the process's id, 0 where no process is known.
func (w *serverProcess) PID() int {
	if w == nil {
		return 0
	}
	return int(w.pid.Load())
}

func (w *serverProcess) sample() (probe.ProcessSample, error) {
	if w.family {
		return probe.Family(w.PID())
	}
	return probe.Process(w.PID())
}

// scrapeTimeout keeps an overloaded gateway from stopping the series.
const scrapeTimeout = 500 * time.Millisecond

// metricsWatch reads /metrics of a gateway's admin listener.
type metricsWatch struct {
	url    string
	client *http.Client
}

// watchMetrics reads once, so that a wrong address is reported at once.
func watchMetrics(ctx context.Context, c plan.Config) (*metricsWatch, error) {
	refuse := func(format string, args ...any) error {
		return &plan.UsageError{Flag: "--admin", Value: plan.PrintableURL(c.Admin), Want: fmt.Sprintf(format, args...)}
	}
	text := c.Admin
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, refuse("want the gateway's admin.listen, such as 127.0.0.1:8081")
	}
	a, err := plan.Resolve(ctx, u.Hostname())
	if err != nil {
		return nil, refuse("%v", err)
	}
	if !a.IsLoopback() && !c.AllowRemote {
		return nil, refuse("%s", plan.NotThisHost(a))
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/metrics"
	}
	w := &metricsWatch{url: u.String(), client: &http.Client{
		Timeout:   scrapeTimeout,
		Transport: &http.Transport{MaxIdleConns: 1, DisableCompression: true},
	}}
	s, err := w.sample(ctx)
	if err == nil && len(s.Values) == 0 {
		err = errors.New("it answers, but not with a gateway's metrics: want admin.listen")
	}
	if err != nil {
		w.Close()
		return nil, refuse("%v", err)
	}
	return w, nil
}

func (w *metricsWatch) Close() { w.client.CloseIdleConnections() }

// ownMetrics is how the names of a gateway's own metrics start.
const ownMetrics = "gateway_"

func (w *metricsWatch) sample(ctx context.Context) (s result.MetricsSample, err error) {
	m, err := probe.Scrape(ctx, w.client, w.url)
	return result.MetricsSample{
		Heap:       uint64(m["go_memstats_heap_alloc_bytes"]),
		HeapInUse:  uint64(m["go_memstats_heap_inuse_bytes"]),
		GCPauses:   m["go_gc_duration_seconds_sum"],
		Goroutines: int(m["go_goroutines"]),
		Values:     m.Sums(ownMetrics),
	}, err
}

// proxies are the programs that pass connections on, by the names of their
// processes.
var proxies = []string{"nginx", "haproxy", "envoy", "caddy", "traefik", "varnishd", "apache2", "httpd", "squid"}

// proxyAt returns the name of the proxy that listens at a target on this host;
// empty where it is none, or can't be seen.
func proxyAt(target *plan.Target) string {
	if w, err := findServer(0, target, false); err == nil && slices.Contains(proxies, w.name) {
		return w.name
	}
	return ""
}
