package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// startLogged runs the gateway by a shell, with a pipe as standard output and
// standard error, of which the shell may make something else.
func startLogged(t *testing.T, shell string, pipe *os.File) *gatewaytest.Process {
	t.Helper()
	defer pipe.Close()
	return gatewaytest.Run(t, pipe, "sh", "-c", shell, "gateway", "serve",
		"--redis.embedded", "127.0.0.1:0", "--log.level", "debug", "--drain.timeout", "0s")
}

// lost has the gateway write a few lines, and returns how many were lost so far.
func lost(t *testing.T, g *gatewaytest.Process) float64 {
	t.Helper()
	for range 20 {
		gatewaytest.Get(t, "http://"+g.Public+"/nothing")
	}
	g.Signal(syscall.SIGHUP)
	return g.Metric("gateway_log_lines_lost_total")
}

// losesLines waits until lines are lost.
func losesLines(t *testing.T, g *gatewaytest.Process) {
	t.Helper()
	gatewaytest.Eventually(t, "lines are lost", func() bool { return lost(t, g) > 0 })
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
			if test.gone {
				r.Close()
			}
			g := startLogged(t, test.shell, w)
			client, _, err := websocket.DefaultDialer.Dial("ws://"+g.Public+"/v1/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if test.takes {
				if n := lost(t, g); n != 0 {
					t.Errorf("%v lines were lost", n)
				}
			} else {
				losesLines(t, g)
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
			g.Signal(syscall.SIGTERM)
			g.Exits()
		})
	}
}

// Once the log is read again, it says how much of it is missing.
func TestLogTellsOfLostLines(t *testing.T) {
	r, w := pipe(t)
	g := startLogged(t, `exec "$0" "$@"`, w)
	losesLines(t, g)
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
	losesLines(t, g)
	g.Signal(syscall.SIGQUIT)
	if code := g.ExitCode(); code != 2 {
		t.Errorf("it ended with %d", code)
	}
}
