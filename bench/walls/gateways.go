package walls

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/probe"
	"github.com/pushgate/pushgate/internal/reactor"
)

// startGateway runs the gateway with an embedded Redis and at most files open
// files, 0 for no limit of its own.
func startGateway(l *rig.Lab, files int, args ...string) (*rig.Gateway, error) {
	cmd := l.Command("gateway", append([]string{"serve", "--redis.embedded", "127.0.0.1:0", "--log.format", "json"}, args...)...)
	if files > 0 {
		// The shell's ulimit sets both limits, so that it can't be raised again.
		cmd = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files)}, cmd.Args...)...)
	}
	return rig.StartGateway(context.Background(), cmd)
}

// warned returns a gateway's last warning that says how it is cured.
func warned(log string) (warning string) {
	for line := range strings.Lines(log) {
		var r struct{ Level, Msg, Fix string }
		if json.Unmarshal([]byte(line), &r) == nil && r.Level == "WARN" && r.Fix != "" {
			warning = r.Msg + "; fix: " + r.Fix
		}
	}
	return warning
}

// showDescriptors connects more WebSocket clients than a gateway may have open
// files, and then gives it more files.
func showDescriptors(out io.Writer) error {
	if _, _, err := reactor.RaiseDescriptorLimit(); err != nil {
		return err
	}
	l, err := rig.Build(context.Background(), "cmd/gateway")
	if err != nil {
		return err
	}
	defer l.Close()
	const clients = 1500
	t := newTable(out, "ulimit -n", "clients", "upgraded", "503", "other", "still served")
	warning := ""
	for _, files := range []int{1024, 4096} {
		g, err := startGateway(l, files)
		if err != nil {
			return err
		}
		open, refused, other := connectAll(g.Listen.String(), clients)
		alive := 0
		for _, c := range open {
			if c.answersPing() {
				alive++
			}
			c.Close()
		}
		g.Kill()
		if files == 1024 {
			warning = warned(g.Log())
		}
		t.row(files, clients, len(open), refused, other, alive)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nthe log at 1024: %s\n", warning)
	return err
}

const upgradeRequest = "GET /v1/ws HTTP/1.1\r\nHost: walls\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// webSocket is a client.
type webSocket struct {
	net.Conn
	in *bufio.Reader
}

// connectAll connects clients, some at a time, and counts how they fared.
func connectAll(addr string, n int) (open []webSocket, refused, other int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	turns := make(chan struct{}, 50) // one for each that is under way
	for range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			c, status := connect(addr)
			mu.Lock()
			defer mu.Unlock()
			switch status {
			case http.StatusSwitchingProtocols:
				open = append(open, c)
			case http.StatusServiceUnavailable:
				refused++
			default:
				other++
			}
		})
	}
	all.Wait()
	return open, refused, other
}

// connect returns a WebSocket and the response's status, 0 where there is none.
func connect(addr string) (webSocket, int) {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return webSocket{}, 0
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := webSocket{conn, bufio.NewReader(conn)}
	// A client may be rejected before it has asked; the response is there.
	io.WriteString(c, upgradeRequest)
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		conn.Close()
		return webSocket{}, 0
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
	}
	return c, r.StatusCode
}

// answersPing reports whether a client is still served.
func (c webSocket) answersPing() bool {
	if _, err := io.WriteString(c, "\x81\x8f\x00\x00\x00\x00{\"type\":\"ping\"}"); err != nil {
		return false
	}
	for {
		switch text, err := c.in.ReadString('}'); {
		case err != nil:
			return false
		case strings.HasSuffix(text, `{"type":"pong"}`):
			return true
		}
	}
}

// showBacklog sends a burst of connections to a gateway that is too busy to
// accept: it is stopped meanwhile.
func showBacklog(_ []string, out io.Writer) error {
	if err := raiseLoopback(); err != nil {
		return err
	}
	l, err := rig.Build(context.Background(), "cmd/gateway")
	if err != nil {
		return err
	}
	defer l.Close()
	const burst = 1000
	t := newTable(out, "net.core.somaxconn", "socket.backlog", "clients", "connected at once", "ListenOverflows", "the last one after")
	for _, c := range []struct{ somaxconn, backlog int }{{128, 65535}, {4096, 128}, {4096, 65535}} {
		if err := setSysctl("net.core.somaxconn", fmt.Sprint(c.somaxconn)); err != nil {
			return err
		}
		g, err := startGateway(l, 0, "--socket.backlog", fmt.Sprint(c.backlog))
		if err != nil {
			return err
		}
		atOnce, overflows, took, err := sendBurst(g, burst)
		g.Kill()
		if err != nil {
			return err
		}
		t.row(c.somaxconn, c.backlog, burst, atOnce, overflows, took.Round(10*time.Millisecond))
	}
	return t.Flush()
}

// sendBurst opens n connections to a gateway that is stopped for half a second.
// It returns how many connected meanwhile, how often the kernel found the queue
// full, and how long the last one took.
func sendBurst(g *rig.Gateway, n int) (atOnce int, overflows uint64, took time.Duration, err error) {
	if err := g.Signal(syscall.SIGSTOP); err != nil {
		return 0, 0, 0, err
	}
	kernel, err := probe.WatchKernel(os.Getpid())
	if err != nil {
		return 0, 0, 0, err
	}
	before, err := kernel.Sample()
	if err != nil {
		return 0, 0, 0, err
	}
	const pause = 500 * time.Millisecond
	begin := time.Now()
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c, err := net.DialTimeout("tcp", g.Listen.String(), 30*time.Second)
			at := time.Since(begin)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			defer c.Close()
			if at < pause {
				atOnce++
			}
			took = max(took, at)
		})
	}
	time.Sleep(pause)
	after, err := kernel.Sample()
	if err := errors.Join(err, g.Signal(syscall.SIGCONT)); err != nil {
		return 0, 0, 0, err
	}
	all.Wait()
	return atOnce, after.Overflows - before.Overflows, took, failed
}
