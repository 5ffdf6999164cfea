package attacks

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// small is for clients that don't read.
var small = &net.Dialer{Control: gatewaytest.SmallWindow}

// get returns a request for a path.
func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// upgrade returns a request for a WebSocket.
func upgrade(path string) string {
	return strings.TrimSuffix(get(path), "\r\n") + "Upgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
}

// post returns the head of a request with a body of so many bytes.
func post(path string, body int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", path, body)
}

// text returns a client's text message as a frame.
func text(message string) []byte {
	return wsframe.AppendMasked(nil, ws.OpText, []byte(message), [4]byte{1, 2, 3, 4})
}

// open makes n connections that say something each, by several at a time, and
// returns them; the test closes them at its end.
func open(t testing.TB, addr string, n int, say func(i int) []byte) []net.Conn {
	t.Helper()
	return openEach(t, small, addr, n, func(i int, c net.Conn) error {
		_, err := c.Write(say(i))
		return err
	})
}

// openEach is open for connections that do something each.
func openEach(t testing.TB, dialer *net.Dialer, addr string, n int, begin func(i int, c net.Conn) error) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	t.Cleanup(func() { closeAll(conns) })
	const workers = 8
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < n; i += workers {
				c, err := dialer.Dial("tcp", addr)
				if err != nil {
					t.Errorf("connection %d of %d: %v", i, n, err)
					return
				}
				conns[i] = c
				if err := begin(i, c); err != nil {
					t.Errorf("connection %d of %d: %v", i, n, err)
				}
			}
		})
	}
	all.Wait()
	return conns
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
}

// names returns channels of a client, separated by commas; each client has others
// unless i is the same.
func names(kind string, i, n int) string {
	var b strings.Builder
	for k := range n {
		if k > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s.%d.%d", kind, i, k)
	}
	return b.String()
}
