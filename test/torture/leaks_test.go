package torture

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// Allowances of a gateway whose clients have left, over one that never had any.
const (
	// Slabs, pools of buffers and hash tables keep the size that they had at most.
	spareHeap = 24 << 20
	// The server of the admin listener, and the client of Redis, keep some.
	spareGoroutines  = 4
	spareDescriptors = 0
)

// holdings are the resources that the process holds.
type holdings struct {
	gauges      map[string]float64 // by series
	goroutines  int
	descriptors int // without the connections to Redis
	heap        int
}

// unsettled are gauges unrelated to leaks.
var unsettled = regexp.MustCompile(`^gateway_(build_info|config_|fleet_|broker_up|draining)`)

// holdings asks the process.
func (g *gateway) holdings() holdings {
	g.r.t.Helper()
	h, err := g.look()
	if err != nil {
		g.r.t.Fatal(err)
	}
	return h
}

func (g *gateway) look() (h holdings, err error) {
	h.gauges = map[string]float64{}
	status, body, err := g.call("GET", "/metrics", "")
	if err != nil || status != 200 {
		return h, fmt.Errorf("/metrics: %d %v", status, err)
	}
	kind := ""
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, kind, _ = strings.Cut(rest, " ")
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		if kind != "gauge" || at < 0 || !strings.HasPrefix(line, "gateway_") || unsettled.MatchString(line) {
			continue
		}
		if h.gauges[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			return h, err
		}
	}
	if h.goroutines, err = g.profiled("/debug/pprof/goroutine?debug=1", `total (\d+)`); err != nil {
		return h, err
	}
	if h.heap, err = g.profiled("/debug/pprof/heap?gc=1&debug=1", `# HeapAlloc = (\d+)`); err != nil {
		return h, err
	}
	h.descriptors, err = descriptors(g.PID, g.r.redis)
	return h, err
}

// profiled returns a number out of a profile.
func (g *gateway) profiled(path, pattern string) (int, error) {
	status, body, err := g.call("GET", path, "")
	if err != nil || status != 200 {
		return 0, fmt.Errorf("%s: %d %v", path, status, err)
	}
	found := regexp.MustCompile(pattern).FindStringSubmatch(body)
	if found == nil {
		return 0, fmt.Errorf("%s doesn't have %s", path, pattern)
	}
	return strconv.Atoi(found[1])
}

// emptied waits until the process holds no more than an empty one does, and reports leaks.
func (g *gateway) emptied(empty holdings) {
	g.r.t.Helper()
	begun := time.Now()
	var left []string
	var h holdings
	if until(func() bool {
		var err error
		if h, err = g.look(); err != nil {
			left = []string{err.Error()}
		} else {
			left = h.over(empty)
		}
		return len(left) == 0
	}) {
		g.r.t.Logf("empty after %v: %d goroutines (%d before), %d descriptors (%d), heap %d KiB (%d)", time.Since(begun).Round(time.Millisecond),
			h.goroutines, empty.goroutines, h.descriptors, empty.descriptors, h.heap>>10, empty.heap>>10)
		g.r.t.Log("since the restart: " + g.counted())
		return
	}
	g.r.fault("once all clients have gone, this is left after %v: %s", patience, strings.Join(left, ", "))
	_, stacks, _ := g.call("GET", "/debug/pprof/goroutine?debug=1", "")
	g.r.t.Log(stacks)
}

// counters are those of client activity.
var counters = regexp.MustCompile(`(?m)^gateway_(accepts_total|handshakes_total|deliveries_total|closes_total|rejects_total|dropped_messages_total|` +
	`tokens_refused_total|broker_gaps_total|broker_replays_total|client_publishes_total)(?:{\w+="(\w+)"})? ([1-9].*)$`)

// counted lists the counters that aren't 0.
func (g *gateway) counted() string {
	var list []string
	_, body, _ := g.call("GET", "/metrics", "")
	for _, m := range counters.FindAllStringSubmatch(body, -1) {
		list = append(list, strings.TrimSpace(m[1]+" "+m[2])+" "+m[3])
	}
	return strings.Join(list, ", ")
}

// over lists the excess over an empty gateway.
func (h holdings) over(empty holdings) (left []string) {
	for _, series := range slices.Sorted(maps.Keys(h.gauges)) {
		if v := h.gauges[series]; v != empty.gauges[series] {
			left = append(left, fmt.Sprintf("%s %v", series, v))
		}
	}
	if most := empty.goroutines + spareGoroutines; h.goroutines > most {
		left = append(left, fmt.Sprintf("%d goroutines in place of %d", h.goroutines, empty.goroutines))
	}
	if most := empty.descriptors + spareDescriptors; h.descriptors > most {
		left = append(left, fmt.Sprintf("%d descriptors in place of %d", h.descriptors, empty.descriptors))
	}
	if most := empty.heap + spareHeap; h.heap > most {
		left = append(left, fmt.Sprintf("%d KiB of heap in place of %d", h.heap>>10, empty.heap>>10))
	}
	return left
}

// descriptors counts those of a process without its connections to Redis, of
// which the pool keeps as many as it took to use at once.
func descriptors(pid int, redis *redistest.Server) (n int, err error) {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return 0, err
	}
	_, port, _ := strings.Cut(redis.Addr, ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0, err
	}
	toRedis := map[string]bool{} // inodes
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", number)) {
			toRedis[f[9]] = true
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		inode := strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")
		if !toRedis[inode] {
			n++
		}
	}
	return n, nil
}
