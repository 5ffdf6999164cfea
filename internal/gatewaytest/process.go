package gatewaytest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// Build builds commands of this repository, such as gateway, into a directory. flags
// are further ones for go build.
func Build(dir string, commands []string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", dir + string(filepath.Separator)}, flags...)
	for _, command := range commands {
		args = append(args, "github.com/pushgate/pushgate/cmd/"+command)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Process is a running gateway.
type Process struct {
	// Immutable
	Redis         *redistest.Server
	Public, Admin string // host:port
	PID           int

	t       testing.TB
	cmd     *exec.Cmd
	allowed []string   // errors in the log that are no failure, by their message
	exited  chan error // how it ended, once; closed by the reader of the log

	// Guarded by mu
	mu  sync.Mutex
	log strings.Builder
}

// Start runs a gateway until the test ends, and waits until it is ready. The last of equal
// flags counts. Errors in its log fail the test, unless they are allowed.
func Start(t testing.TB, program string, redis *redistest.Server, allowed []string, flags ...string) *Process {
	t.Helper()
	p := &Process{Redis: redis, t: t, allowed: allowed, exited: make(chan error, 1)}
	p.cmd = exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0",
		"--redis.url", redis.URL(), "--log.format", "json"}, flags...)...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = p.cmd.Process.Pid
	listening := make(chan struct{}) // closed by the reader of the log
	go func() {
		// Ends with the process, which the cleanup waits for.
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if p.line(lines.Text()) {
				close(listening)
			}
		}
		p.exited <- p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		for range p.exited {
		}
	})
	select {
	case <-listening:
	case err := <-p.exited:
		t.Fatalf("the gateway ended: %v\n%s", err, p.Log())
	case <-time.After(Patience):
		t.Fatal("the gateway doesn't start")
	}
	Eventually(t, "the gateway is ready", func() bool {
		status, _ := Get(t, "http://"+p.Admin+"/readyz")
		return status == 200
	})
	return p
}

// line keeps and judges a line of the log; it reports whether that names the gateway's address.
func (p *Process) line(text string) (listens bool) {
	p.mu.Lock()
	p.log.WriteString(text + "\n")
	p.mu.Unlock()
	var r struct{ Level, Msg, Public, Admin string }
	if err := json.Unmarshal([]byte(text), &r); err != nil && strings.Contains(text, "panic") {
		p.t.Error(text)
	}
	if r.Level == "ERROR" && !slices.Contains(p.allowed, r.Msg) {
		p.t.Error(text)
	}
	if r.Msg == "listening" {
		p.Public, p.Admin = r.Public, r.Admin
	}
	return r.Msg == "listening"
}

// Log returns the log so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Metric returns the value of one series, as the function of that name does.
func (p *Process) Metric(series string) float64 {
	p.t.Helper()
	return Metric(p.t, p.Admin, series)
}

// Signal sends it a signal: SIGTERM ends it as its supervisor would.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends it as a crash does.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	for range p.exited {
	}
}

// Exits waits for its end, which must be a good one.
func (p *Process) Exits() {
	p.t.Helper()
	select {
	case err := <-p.exited:
		if err != nil {
			p.t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(Patience):
		p.t.Error("the gateway doesn't end")
	}
}
