package walls

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// gateway is the real program with an embedded Redis.
type gateway struct {
	// Immutable
	public, admin string
	cmd           *exec.Cmd
	dir           string        // of the program
	done          chan struct{} // closed when its log has ended

	// Guarded by mu
	mu       sync.Mutex
	warnings []string
}

// startGateway builds the gateway and runs it with at most files open files, 0
// for no limit of its own.
func startGateway(files int, args ...string) (*gateway, error) {
	dir, err := os.MkdirTemp("", "walls")
	if err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "gateway")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/pushgate/pushgate/cmd/gateway").CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0",
		"--redis.embedded", "127.0.0.1:0", "--log.format", "json"}, args...)
	cmd := exec.Command(program, args...)
	if files > 0 {
		// The shell's ulimit sets both limits, so that it can't be raised again.
		cmd = exec.Command("sh", append([]string{"-c", "ulimit -n " + strconv.Itoa(files) + ` && exec "$0" "$@"`, program}, args...)...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	g := &gateway{cmd: cmd, dir: dir, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	listening := make(chan struct{})
	go func() {
		// Ends with the process, which stop waits for.
		defer close(g.done)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var r struct{ Level, Msg, Public, Admin, Fix string }
			json.Unmarshal(lines.Bytes(), &r)
			if r.Msg == "listening" {
				g.public, g.admin = r.Public, r.Admin
				close(listening)
			}
			if r.Level == "WARN" && r.Fix != "" {
				g.mu.Lock()
				g.warnings = append(g.warnings, r.Msg+"; fix: "+r.Fix)
				g.mu.Unlock()
			}
		}
	}()
	select {
	case <-listening:
		return g, nil
	case <-g.done:
		err = errors.New("the gateway ended")
	case <-time.After(30 * time.Second):
		err = errors.New("the gateway doesn't start")
	}
	g.stop()
	return nil, err
}

// stop ends the process.
func (g *gateway) stop() {
	g.cmd.Process.Kill()
	<-g.done
	g.cmd.Wait()
	os.RemoveAll(g.dir)
}

// warned returns the last warning that says what to do about it.
func (g *gateway) warned() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.warnings) == 0 {
		return ""
	}
	return g.warnings[len(g.warnings)-1]
}
