package gateway_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// stall stops the only shard's loop for longer than d, and has clients do
// something meanwhile.
func (in *instance) stall(d time.Duration, meanwhile func()) {
	in.t.Helper()
	release := in.hold()
	end := time.Now().Add(d)
	meanwhile()
	eventually(in.t, "the stall is long enough", func() bool { return time.Now().After(end) })
	release()
	eventually(in.t, "deadlines are judged again", func() bool {
		return in.Judged(end.Add(3 * gateway.Tick))
	})
}

// Input that arrives while the loop stalls is read before any deadline is enforced.
func TestStallIsNotTheClientsFault(t *testing.T) {
	gateway.InTheClear(t, gateway.HeldLoops)
	t.Parallel()
	t.Run("a request that waits to be accepted", func(t *testing.T) {
		t.Parallel()
		in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.HeadTimeout = 300 * time.Millisecond }).ready()
		const clients = 20
		var conns []net.Conn
		in.stall(time.Second, func() {
			for range clients {
				conns = append(conns, in.raw("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
			}
		})
		for _, c := range conns {
			c.SetReadDeadline(time.Now().Add(patience))
			answer, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
				t.Fatalf("got %q, %v", answer, err)
			}
		}
	})
	t.Run("a request that is on its way", func(t *testing.T) {
		t.Parallel()
		in := start(t, func(c *gateway.Config) { c.Shards = 1; c.Limits.HeadTimeout = 2 * time.Second }).ready()
		var c net.Conn
		in.stall(2500*time.Millisecond, func() { c = in.raw("") })
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(patience))
		if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
			t.Fatalf("got %q, %v", answer, err)
		}
	})
}
