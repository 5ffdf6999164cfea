package attacks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// patience is how long an attack waits for something to come true.
const patience = time.Minute

// gateway is a running gateway.
type gateway struct {
	t             testing.TB
	redis         *redistest.Server
	pid           int
	public, admin string // host:port
}

// startGateway runs the program on a Redis until the test ends: with the defaults,
// but for the flags. redisURL is where it finds the Redis.
func startGateway(t testing.TB, redis *redistest.Server, redisURL string, flags ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, redis: redis}
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0",
		"--redis.url", redisURL, "--log.format", "json", "--drain.timeout", "100ms"}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.pid = cmd.Process.Pid
	listening := make(chan struct{}) // closed by the reader of the log
	exited := make(chan struct{})    // the same
	last := ""                       // line of the log; read once it has ended
	go func() {
		defer close(exited)
		// Ends with the process, which the cleanup waits for.
		for lines := bufio.NewScanner(log); lines.Scan(); {
			last = lines.Text()
			var r struct{ Level, Msg, Public, Admin string }
			if json.Unmarshal(lines.Bytes(), &r); r.Msg == "listening" {
				g.public, g.admin = r.Public, r.Admin
				close(listening)
			}
			stalled := redisURL != redis.URL() && r.Msg == "redis does not deliver"
			if r.Level == "ERROR" && !stalled || strings.Contains(lines.Text(), "panic") {
				t.Error(lines.Text())
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
	})
	select {
	case <-listening:
	case <-exited:
		t.Fatalf("the gateway has ended: %s", last)
	case <-time.After(patience):
		t.Fatal("the gateway doesn't start")
	}
	eventually(t, "the gateway is ready", func() bool {
		resp, err := plain.Get("http://" + g.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	return g
}

var plain = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// figure returns the value of one series of the gateway's metrics; one that ends
// with a brace is the sum of all series of that name.
func (g *gateway) figure(series string) (v float64) {
	g.t.Helper()
	resp, err := plain.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if !strings.HasSuffix(series, "{") {
		series += " "
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, series) {
			var one float64
			fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &one)
			v += one
		}
	}
	return v
}

// resident returns the process' memory in bytes, after a run of the collector.
func (g *gateway) resident() int {
	g.t.Helper()
	resp, err := plain.Get("http://" + g.admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		g.t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return g.memory()
}

// memory returns the process' memory in bytes as it is.
func (g *gateway) memory() int {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.pid))
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
	resp, err := plain.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", g.admin, during.Seconds()))
	if err != nil {
		g.t.Error(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		g.t.Error(err)
	}
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never comes true that %s", what)
		}
	}
}
