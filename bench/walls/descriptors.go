package walls

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/reactor"
)

// showDescriptors connects more WebSocket clients than a gateway may have open
// files, and then gives it more files.
func showDescriptors(out io.Writer) error {
	if _, _, err := reactor.RaiseDescriptorLimit(); err != nil {
		return err
	}
	const clients = 1500
	t := newTable(out, "ulimit -n", "clients", "upgraded", "503", "other", "still served")
	warning := ""
	for _, files := range []int{1024, 4096} {
		g, err := startGateway(files)
		if err != nil {
			return err
		}
		open, refused, other := connectAll(g.public, clients)
		alive := 0
		for _, c := range open {
			if c.answersPing() {
				alive++
			}
			c.Close()
		}
		if w := g.warned(); files == 1024 {
			warning = w
		}
		g.stop()
		t.row(files, clients, len(open), refused, other, alive)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nthe log at 1024: %s\n", warning)
	return nil
}

const upgradeRequest = "GET /v1/ws HTTP/1.1\r\nHost: walls\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// client is a WebSocket.
type client struct {
	net.Conn
	in *bufio.Reader
}

// connectAll connects clients, some at a time, and counts how they fared.
func connectAll(addr string, n int) (open []client, refused, other int) {
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
			case 101:
				open = append(open, c)
			case 503:
				refused++
			default:
				other++
			}
		})
	}
	all.Wait()
	return open, refused, other
}

// connect returns a WebSocket, or the status that it was refused with; 0 is no
// answer at all.
func connect(addr string) (client, int) {
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return client{}, 0
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := client{conn, bufio.NewReader(conn)}
	// Who is turned away may be so before it has asked; the answer is there.
	_, _ = io.WriteString(c, upgradeRequest)
	r, err := http.ReadResponse(c.in, nil)
	if err != nil || r.StatusCode != 101 {
		conn.Close()
		if err != nil {
			return client{}, 0
		}
		return client{}, r.StatusCode
	}
	return c, 101
}

// answersPing reports whether a client is still served.
func (c client) answersPing() bool {
	if _, err := io.WriteString(c, "\x81\x8f\x00\x00\x00\x00{\"type\":\"ping\"}"); err != nil {
		return false
	}
	var got strings.Builder
	for !strings.Contains(got.String(), `{"type":"pong"}`) {
		b, err := c.in.ReadByte()
		if err != nil {
			return false
		}
		got.WriteByte(b)
	}
	return true
}
