package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// patience is how long a test waits for something to come true. Chromium's start
// alone takes 20 s where the host has other work.
const patience = 90 * time.Second

// gateway is a running gateway with a Redis of its own.
type gateway struct {
	t             testing.TB
	redis         *redistest.Server
	cmd           *exec.Cmd
	public, admin string // host:port

	mu     sync.Mutex
	log    strings.Builder // guarded by mu
	exited chan error      // how the process ended, once
}

// startGateway runs the program with a Redis of its own until the test ends. Its
// heartbeat is quick, so that every client that stays is pinged. Further flags
// override its own.
func startGateway(t testing.TB, flags ...string) *gateway {
	t.Helper()
	return startGatewayOn(t, redistest.Start(t), flags...)
}

// startGatewayOn runs another one on a Redis that is there.
func startGatewayOn(t testing.TB, redis *redistest.Server, flags ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, redis: redis, exited: make(chan error, 1)}
	if !slices.Contains(flags, "--origins") {
		flags = append(flags, "--origins", "http://127.0.0.1:*")
	}
	g.cmd = exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0",
		"--redis.url", g.redis.URL(), "--log.format", "json",
		"--heartbeat.interval", "400ms", "--heartbeat.timeout", "400ms", "--drain.timeout", "500ms"}, flags...)...)
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go func() {
		// Ends with the process, which the cleanup waits for.
		for lines := bufio.NewScanner(log); lines.Scan(); {
			g.mu.Lock()
			g.log.WriteString(lines.Text() + "\n")
			g.mu.Unlock()
			var r struct{ Level, Msg, Public, Admin string }
			if json.Unmarshal(lines.Bytes(), &r); r.Msg == "listening" {
				g.public, g.admin = r.Public, r.Admin
				close(listening)
			}
			if r.Level == "ERROR" {
				t.Error(lines.Text())
			}
		}
		g.exited <- g.cmd.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() {
		g.cmd.Process.Kill()
		for range g.exited {
		}
	})
	select {
	case <-listening:
	case err := <-g.exited:
		t.Fatalf("the gateway ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the gateway doesn't start")
	}
	eventually(t, "the gateway is ready", func() bool {
		status, _ := get(t, "http://"+g.admin+"/readyz")
		return status == 200
	})
	return g
}

// logged returns the log so far.
func (g *gateway) logged() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.String()
}

// messages is how many are published to each client; one of them is large, and
// one has characters of every length.
const (
	messages  = 100
	largeOne  = 50
	largeSize = 64 << 10
	speechOne = 51
	speech    = "aä€𝄞"
)

// publish publishes the messages, in order.
func (g *gateway) publish(channel string) {
	g.t.Helper()
	for n := range messages {
		text := ""
		switch n {
		case largeOne:
			text = strings.Repeat("x", largeSize)
		case speechOne:
			text = speech
		}
		payload, err := json.Marshal(map[string]any{"n": n, "text": text})
		if err != nil {
			g.t.Fatal(err)
		}
		if g.redis.Publish(channel, payload) != 1 {
			g.t.Fatal("the gateway isn't subscribed")
		}
	}
}

// metric returns the value of one series, 0 when it isn't there.
func (g *gateway) metric(series string) (v float64) {
	g.t.Helper()
	_, body := get(g.t, "http://"+g.admin+"/metrics")
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				g.t.Fatal(err)
			}
		}
	}
	return v
}

// drain has the gateway end as its supervisor would.
func (g *gateway) drain() {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
}

// kill ends the process as a crash does.
func (g *gateway) kill() {
	g.t.Helper()
	if err := g.cmd.Process.Kill(); err != nil {
		g.t.Fatal(err)
	}
	<-g.exited
}

// exits waits for the end of the process, which must be a good one.
func (g *gateway) exits() {
	g.t.Helper()
	select {
	case err := <-g.exited:
		if err != nil {
			g.t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(patience):
		g.t.Error("the gateway doesn't end")
	}
}

var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	r, err := once.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !fn(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not after %v: %s", patience, what)
		}
	}
}
