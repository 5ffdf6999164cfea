package torture

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/internal/loopback"
)

// gateway is the process that is tortured. It has the same addresses after each
// start.
type gateway struct {
	// Immutable
	r             *round
	file          string // the configuration
	public, admin string // host:port

	// Owned by the round
	cmd *exec.Cmd

	// Atomic
	runs    atomic.Int64 // odd while it should serve
	refused atomic.Bool  // a wrong configuration was given to it

	// Closed by the reader of the log, once the process has ended.
	exited chan struct{}

	// Guarded by mu
	mu  sync.Mutex
	log strings.Builder
}

func newGateway(r *round, set settings) *gateway {
	r.t.Helper()
	g := &gateway{r: r, file: filepath.Join(r.t.TempDir(), "gateway.yaml")}
	for _, address := range []*string{&g.public, &g.admin} {
		reserved, err := loopback.Reserve()
		if err != nil {
			r.t.Fatal(err)
		}
		*address = reserved
	}
	g.configure(set.yaml(g.public, g.admin, r.redis.URL()))
	r.t.Cleanup(func() {
		if g.cmd != nil {
			g.runs.Store(0)
			g.cmd.Process.Kill()
			<-g.exited
		}
	})
	return g
}

// configure writes the file that the next start or reload reads.
func (g *gateway) configure(text string) {
	g.r.t.Helper()
	if err := os.WriteFile(g.file, []byte(text), 0o600); err != nil {
		g.r.t.Fatal(err)
	}
}

// start starts the process and waits until it is ready.
func (g *gateway) start() {
	t := g.r.t
	t.Helper()
	g.cmd = exec.Command(program, "serve", "--config", g.file)
	g.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1 exitcode=66")
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.exited = make(chan struct{})
	cmd, exited := g.cmd, g.exited
	go func() { // ends with the process, for whose end all wait by exited
		defer close(exited)
		for lines := bufio.NewReader(log); ; {
			line, err := lines.ReadString('\n')
			g.line(line)
			if err != nil {
				break
			}
		}
		if err := cmd.Wait(); g.runs.Load()%2 == 1 {
			g.r.fault("the gateway ended: %v", err)
		}
	}()
	if !until(func() bool { status, _, _ := g.call("GET", "/readyz", ""); return status == 200 || g.ended() }) || g.ended() {
		t.Fatal("the gateway doesn't start")
	}
	g.runs.Add(1)
}

// expected are the errors that Redis' failures, and the round itself, bring about.
var expected = map[string]bool{
	"redis does not deliver":       true,
	"redis did not take a message": true,
	"the configuration is wrong":   true,
	"nothing was reloaded":         true,
}

// line keeps a line of standard error and judges it.
func (g *gateway) line(text string) {
	if text == "" {
		return
	}
	g.mu.Lock()
	g.log.WriteString(text)
	g.mu.Unlock()
	var record struct{ Level, Msg string }
	switch err := json.Unmarshal([]byte(text), &record); {
	case err != nil: // a panic, or a report of the race detector
		if strings.Contains(text, "panic") || strings.Contains(text, "fatal") || strings.Contains(text, "DATA RACE") {
			g.r.fault("standard error has %s", text)
		}
	case record.Level == "ERROR" && !expected[record.Msg]:
		g.r.fault("the log has %s", text)
	case record.Level == "ERROR" && !strings.HasPrefix(record.Msg, "redis ") && !g.refused.Load():
		g.r.fault("a good configuration was refused: %s", text)
	}
}

// logged returns the log so far.
func (g *gateway) logged() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

func (g *gateway) ended() bool {
	select {
	case <-g.exited:
		return true
	default:
		return false
	}
}

// reload has it read its configuration again.
func (g *gateway) reload() {
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil && !g.ended() {
		g.r.t.Error(err)
	}
}

// stop ends it as a supervisor does, and judges how it ends.
func (g *gateway) stop() {
	g.r.t.Helper()
	g.runs.Add(1)
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.r.t.Error(err)
	}
	select {
	case <-g.exited:
	case <-time.After(patience):
		g.r.t.Error("the gateway doesn't end on SIGTERM")
		g.cmd.Process.Signal(syscall.SIGQUIT)
		<-g.exited
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		g.r.fault("the gateway ended with %d on SIGTERM", code)
	}
	g.cmd = nil
}

// kill ends it as a crash does.
func (g *gateway) kill() {
	g.runs.Add(1)
	g.cmd.Process.Kill()
	<-g.exited
}
