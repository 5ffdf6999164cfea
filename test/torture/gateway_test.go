package torture

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// gateway is the process that is tortured. It has the same addresses after each
// start; all else of the process is the round's goroutine's.
type gateway struct {
	*gatewaytest.Process

	// Immutable
	r    *round
	file string // the configuration

	// Owned by the round
	refused bool // a wrong configuration was given to it

	// Atomic
	runs atomic.Int64 // odd while it should serve
}

// expected are the errors that Redis' failures, and the round itself, bring about.
var expected = []string{"redis does not deliver", "redis did not take a message", "the configuration is wrong", reloadedNothing}

const reloadedNothing = "nothing was reloaded"

// startGateway starts the process and waits until it is ready.
func startGateway(r *round, set settings) *gateway {
	r.t.Helper()
	g := &gateway{r: r, file: filepath.Join(r.t.TempDir(), "gateway.yaml")}
	g.configure(set.yaml())
	g.Process = gatewaytest.Start(r.t, program, r.redis, expected, "--config", g.file)
	g.runs.Add(1)
	return g
}

// configure writes the file that the next start or reload reads.
func (g *gateway) configure(text string) {
	g.r.t.Helper()
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.r.t.Fatal(err)
	}
}

// refusals is how often it has refused a configuration.
func (g *gateway) refusals() int { return strings.Count(g.Log(), reloadedNothing) }

// restart ends the process in one of its ways and starts it anew.
func (g *gateway) restart(random *rand.Rand) {
	g.r.t.Helper()
	if chance(random, 70) {
		g.stop()
	} else {
		g.runs.Add(1)
		g.Kill()
	}
	g.Restart()
	g.runs.Add(1)
}

// stop ends it as a supervisor does, and judges its end.
func (g *gateway) stop() {
	g.r.t.Helper()
	g.runs.Add(1)
	g.Signal(syscall.SIGTERM)
	g.Exits()
	if !g.refused && g.refusals() > 0 {
		g.r.fault("a good configuration was refused")
	}
}

// call has the admin listener do something.
func (g *gateway) call(method, path, body string) (status int, answer string, err error) {
	return gatewaytest.Request(method, "http://"+g.Admin+path, body)
}
