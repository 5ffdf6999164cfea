package gatewaytest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loopback"
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

// Address returns an address for a server that is told where to listen.
func Address(t testing.TB) string {
	t.Helper()
	addr, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// Process is a running gateway, which can be ended and started again.
type Process struct {
	// Immutable
	Redis         *redistest.Server // nil of Run
	Public, Admin string            // as the keys listen and admin.listen

	t       testing.TB
	args    []string // the program first
	output  *os.File // for standard output and error; nil: the log is read
	allowed []string // errors in the log that are no failure, by their message

	// Owned by the test's goroutine
	PID   int
	cmd   *exec.Cmd
	ended chan struct{} // closed by the reader of the log once the process has ended

	// Atomic
	leaving atomic.Bool // it may end

	// Guarded by mu
	mu  sync.Mutex
	log strings.Builder // of all its starts
}

// Start runs a gateway until the test ends, and waits until it is ready. The last of equal
// flags counts, but --listen may be given once. Errors in its log fail the test, unless they are allowed; so does an end
// that the test didn't ask for.
func Start(t testing.TB, program string, redis *redistest.Server, allowed []string, flags ...string) *Process {
	t.Helper()
	p := &Process{Redis: redis, Admin: Address(t), t: t, allowed: allowed}
	if i := slices.Index(flags, "--listen"); i >= 0 {
		p.Public = flags[i+1]
	} else {
		p.Public = Address(t)
	}
	p.args = append([]string{program, "serve", "--listen", p.Public, "--admin.listen", p.Admin,
		"--redis.url", redis.URL(), "--log.format", "json"}, flags...)
	return p.begin()
}

// Run runs a gateway in the same way by any command, to which the flags with the addresses
// are appended, and leaves its output alone.
func Run(t testing.TB, output *os.File, command ...string) *Process {
	t.Helper()
	p := &Process{Public: Address(t), Admin: Address(t), t: t, output: output}
	p.args = append(command, "--listen", p.Public, "--admin.listen", p.Admin)
	return p.begin()
}

func (p *Process) begin() *Process {
	p.t.Helper()
	p.t.Cleanup(func() {
		if p.cmd != nil {
			p.Kill()
		}
	})
	p.Restart()
	return p
}

// Restart starts one that has ended again, at the same addresses, and waits until it is ready.
func (p *Process) Restart() {
	p.t.Helper()
	cmd, ended := exec.Command(p.args[0], p.args[1:]...), make(chan struct{})
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log io.Reader = strings.NewReader("")
	if p.output != nil {
		cmd.Stdout, cmd.Stderr = p.output, p.output
	} else {
		var err error
		if log, err = cmd.StderrPipe(); err != nil {
			p.t.Fatal(err)
		}
	}
	p.leaving.Store(false)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.ended, p.PID = cmd, ended, cmd.Process.Pid
	go func() {
		// Ends with the process, which the cleanup waits for.
		defer close(ended)
		for lines := bufio.NewReader(log); ; {
			line, err := lines.ReadString('\n')
			p.line(line)
			if err != nil {
				break
			}
		}
		if cmd.Wait(); !p.leaving.Load() {
			p.t.Errorf("the gateway ended: %v", cmd.ProcessState)
		}
	}()
	p.Ready()
}

// Ready waits until it is ready.
func (p *Process) Ready() {
	p.t.Helper()
	Eventually(p.t, "the gateway is ready", func() bool {
		status, _, err := Request("GET", "http://"+p.Admin+"/readyz", "")
		if p.Ended() {
			p.t.Fatalf("the gateway has ended: %v\n%s", p.cmd.ProcessState, p.Log())
		}
		return err == nil && status == http.StatusOK
	})
}

// line keeps and judges a line of the log.
func (p *Process) line(text string) {
	p.mu.Lock()
	p.log.WriteString(text)
	p.mu.Unlock()
	var r struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		if strings.Contains(text, "panic") || strings.Contains(text, "fatal") || strings.Contains(text, "DATA RACE") {
			p.t.Error(text)
		}
	}
	if r.Level == "ERROR" && !slices.Contains(p.allowed, r.Msg) {
		p.t.Error(text)
	}
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

// Signal sends it a signal: SIGTERM ends it as its supervisor would. All but SIGHUP end it.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if s != syscall.SIGHUP {
		p.leaving.Store(true)
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// Kill ends it as a crash does.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Ended reports whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// ExitCode waits for its end.
func (p *Process) ExitCode() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.t.Error("the gateway doesn't end")
		p.Signal(syscall.SIGQUIT) // for its stacks
		<-p.ended
	}
	return p.cmd.ProcessState.ExitCode()
}

// Exits waits for its end, which must be a good one.
func (p *Process) Exits() {
	p.t.Helper()
	if p.ExitCode() != 0 {
		p.t.Errorf("the gateway ended with %v", p.cmd.ProcessState)
	}
}
