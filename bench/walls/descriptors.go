package walls

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/reactor"
)

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
