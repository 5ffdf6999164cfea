package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
)

// logged is a gateway whose log goes wherever a shell's redirections say.
type logged struct {
	t           *testing.T
	cmd         *exec.Cmd
	addr, admin string
	done        chan struct{} // closed when the process has ended
	err         error         // of its end, after done
}

// startLogged runs the gateway by a shell, with a pipe as standard output and
// standard error, of which the shell may make something else. TestMain has put
// the gateway into PATH.
func startLogged(t *testing.T, shell string, pipe *os.File) *logged {
	t.Helper()
	g := &logged{t: t, addr: freeAddress(t), admin: freeAddress(t), done: make(chan struct{})}
	g.cmd = exec.Command("sh", "-c", shell, "gateway", "serve", "--listen", g.addr, "--admin.listen", g.admin,
		"--redis.embedded", "127.0.0.1:0", "--log.level", "debug", "--drain.timeout", "0s")
	g.cmd.Stdout, g.cmd.Stderr = pipe, pipe
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		g.err = g.cmd.Wait()
		close(g.done)
	}()
	t.Cleanup(func() {
		g.cmd.Process.Kill()
		<-g.done
	})
	return g
}

// get returns the body of an answer, empty without one, and fails when the
// gateway has ended.
func (g *logged) get(url string) string {
	g.t.Helper()
	select {
	case <-g.done:
		g.t.Fatalf("the gateway has ended: %v", g.err)
	default:
	}
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

func (g *logged) ready() {
	g.t.Helper()
	wait(g.t, "the gateway is ready", func() bool { return g.get("http://"+g.admin+"/readyz") == "ok\n" })
}

var lostLines = regexp.MustCompile(`(?m)^gateway_log_lines_lost_total (\S+)$`)

// lost reads the metric of lost lines.
func (g *logged) lost() float64 {
	g.t.Helper()
	match := lostLines.FindStringSubmatch(g.get("http://" + g.admin + "/metrics"))
	if match == nil {
		return -1
	}
	n, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// talk has the gateway write a few lines.
func (g *logged) talk() {
	g.t.Helper()
	for range 20 {
		g.get("http://" + g.addr + "/nothing")
	}
	g.cmd.Process.Signal(syscall.SIGHUP)
}

// pipe returns a pipe that holds a page.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const setSize, page = 1031, 4096 // F_SETPIPE_SZ
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), setSize, page); errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// Wherever the log goes, and whatever becomes of it: a client stays, lost lines are
// counted, and the gateway ends with 0.
func TestLogThatNobodyTakes(t *testing.T) {
	for name, test := range map[string]struct {
		shell string
		gone  bool // nobody has the pipe's other end
		takes bool // all of it
	}{
		"reader gone":                    {shell: `exec "$0" "$@"`, gone: true},
		"reader gone, signal ignored":    {shell: `trap "" PIPE; exec "$0" "$@"`, gone: true},
		"nobody reads":                   {shell: `exec "$0" "$@"`},
		"disk full, welcome in a pipe":   {shell: `exec "$0" "$@" 2>/dev/full`},
		"disk full":                      {shell: `exec "$0" "$@" >/dev/full 2>&1`},
		"standard error closed":          {shell: `exec "$0" "$@" 2>&-`, takes: true},
		"all descriptors closed":         {shell: `exec "$0" "$@" <&- >&- 2>&-`, takes: true},
		"standard output's reader gone":  {shell: `exec "$0" "$@" 2>/dev/null`, gone: true, takes: true},
		"standard output on a full disk": {shell: `exec "$0" "$@" >/dev/full 2>/dev/null`, takes: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			g := startLogged(t, test.shell, w)
			w.Close()
			if test.gone {
				r.Close()
			}
			g.ready()
			client, _, err := websocket.DefaultDialer.Dial("ws://"+g.addr+"/v1/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if test.takes {
				g.talk()
				if n := g.lost(); n != 0 {
					t.Errorf("%v lines were lost", n)
				}
			} else {
				wait(t, "lines are lost", func() bool { g.talk(); return g.lost() > 0 })
			}
			if err := client.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping","ref":1}`)); err != nil {
				t.Fatal(err)
			}
			for text := ""; !strings.Contains(text, "pong"); {
				_, read, err := client.ReadMessage()
				if err != nil {
					t.Fatalf("the client: %v", err)
				}
				text = string(read)
			}
			g.cmd.Process.Signal(syscall.SIGTERM)
			<-g.done
			if g.err != nil {
				t.Errorf("the gateway ended with %v", g.err)
			}
		})
	}
}

// Once the log is read again, it says how much of it is missing.
func TestLogTellsOfLostLines(t *testing.T) {
	r, w := pipe(t)
	g := startLogged(t, `exec "$0" "$@"`, w)
	w.Close()
	g.ready()
	wait(t, "lines are lost", func() bool { g.talk(); return g.lost() > 0 })
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var n int
		if _, text, ok := strings.Cut(lines.Text(), "log lines were lost"); ok {
			if _, err := fmt.Sscanf(text[strings.Index(text, " lines="):], " lines=%d", &n); err != nil || n < 1 {
				t.Errorf("got %q", lines.Text())
			}
			return
		}
	}
	t.Errorf("the log ended without a word of it: %v", lines.Err())
}

// A crash writes all stacks to standard error itself, and must not wait there.
func TestCrashWhileNobodyReads(t *testing.T) {
	r, w := pipe(t)
	defer r.Close()
	g := startLogged(t, `exec "$0" "$@"`, w)
	w.Close()
	g.ready()
	wait(t, "lines are lost", func() bool { g.talk(); return g.lost() > 0 })
	g.cmd.Process.Signal(syscall.SIGQUIT)
	<-g.done
	if code := g.cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("it ended with %v", g.err)
	}
}
