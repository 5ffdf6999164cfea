package attacks

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// patience is the longest wait for a condition.
const patience = gatewaytest.Patience

// gateway is a running gateway.
type gateway struct {
	*gatewaytest.Process
	t testing.TB
}

// startGateway runs the program on a Redis until the test ends: with the defaults,
// but for the flags. redisURL is where it finds the Redis.
func startGateway(t testing.TB, redis *redistest.Server, redisURL string, flags ...string) *gateway {
	t.Helper()
	var allowed []string
	if redisURL != redis.URL() { // something between them stalls
		allowed = append(allowed, "redis does not deliver")
	}
	flags = append([]string{"--redis.url", redisURL, "--drain.timeout", "100ms"}, flags...)
	return &gateway{gatewaytest.Start(t, program, redis, allowed, flags...), t}
}

// resident returns the process' memory in bytes, after a run of the collector.
func (g *gateway) resident() int {
	g.t.Helper()
	gatewaytest.Get(g.t, "http://"+g.Admin+"/debug/pprof/heap?gc=1")
	return g.memory()
}

// memory returns the process' memory in bytes as it is.
func (g *gateway) memory() int {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.PID))
	if err != nil {
		g.t.Fatal(err)
	}
	var size, resident int
	fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize()
}

// profile writes a CPU profile of the process to a file.
func (g *gateway) profile(file string, during time.Duration) {
	g.t.Helper()
	_, text, err := gatewaytest.Request("GET", fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", g.Admin, during.Seconds()), "")
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		g.t.Error(err)
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	gatewaytest.Eventually(t, what, holds)
}
