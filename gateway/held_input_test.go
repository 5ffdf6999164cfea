package gateway_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// unfinished are the ways to make the gateway keep a client's input: each returns input of about n
// bytes.
var unfinished = map[string]func(n int) string{
	"heads": func(n int) string { return "GET /v1/sse HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", n) },
	"bodies without a token": func(n int) string {
		return fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", n+1, strings.Repeat(" ", n))
	},
	"chunked bodies": func(n int) string {
		return fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", n+1, strings.Repeat(" ", n))
	},
	"WebSocket messages": func(n int) string { return upgradeHead + partialMessage(n) },
	"WebSockets without a token": func(n int) string {
		names := ""
		for k := range n / 100 {
			names += fmt.Sprintf("%099d,", k)
		}
		return strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels="+names, 1)
	},
	"requests ahead of an answer": func(n int) string {
		return "GET /v1/poll?channels=a&wait=55&token=TOKEN HTTP/1.1\r\nHost: a\r\n\r\n" + strings.Repeat("x", n)
	},
}

// partialMessage returns the first n bytes of a longer text message.
func partialMessage(n int) string {
	head := []byte{0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(head[2:], uint16(max(n+1, 126)))
	return string(head) + strings.Repeat("x", n)
}

// keeping returns a gateway and the input for one of these ways.
func keeping(t *testing.T, way string, n int, change func(*gateway.Config)) (*instance, string) {
	in := start(t, func(c *gateway.Config) {
		withTokens(c)
		c.Shards = 1
		c.Limits.HeadBytes, c.Limits.HeadTimeout = 80<<10, patience
		c.Limits.ChannelsPerConnection = 1000
		change(c)
	}).ready()
	tok := token(t, auth.Claims{Subject: "u", Subscribe: []string{"a"}})
	return in, strings.Replace(unfinished[way](n), "TOKEN", tok, 1)
}

// Input that never completes stays within limits.total_input_bytes, whatever the clients, and
// others are served meanwhile.
func TestInputIsBounded(t *testing.T) {
	t.Parallel()
	const bound, each, clients = 2 << 20, 50 << 10, 200
	for way := range unfinished {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			in, text := keeping(t, way, each, func(c *gateway.Config) { c.Limits.TotalInputBytes = bound })
			told := make(chan string, clients)
			send := func() {
				c, err := dialer.Dial("tcp", in.Addr())
				if err != nil {
					told <- err.Error()
					return
				}
				io.WriteString(c, text)
				go func() {
					defer c.Close()
					got, _ := io.ReadAll(c)
					told <- string(got)
				}()
			}
			most := int64(0)
			for range clients {
				send()
				most = max(most, in.InputBytes())
			}
			eventually(t, "some are turned away", func() bool {
				most = max(most, in.InputBytes())
				return in.totals().rejects[reasons.RejectTotalInput] > 20
			})
			if most > bound {
				t.Errorf("%d bytes were held, at most %d may be", most, bound)
			}
			got := <-told
			switch {
			case way == "requests ahead of an answer": // its response is cut off
			case strings.HasPrefix(way, "WebSocket"):
				if !strings.Contains(got, "overload") {
					t.Errorf("the client is told %q", got)
				}
			case !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "Retry-After: ") || !strings.Contains(got, `"overloaded"`):
				t.Errorf("the client is told %q", got)
			}
			if status, _ := in.get("http://" + in.Addr() + "/healthz"); status != 200 {
				t.Errorf("health is %d", status)
			}
			if n := in.metric("gateway_input_bytes"); n <= 0 || n > bound {
				t.Errorf("the gauge is %v", n)
			}
			in.halt()
			if n := in.InputBytes(); n > bound {
				t.Errorf("%d bytes are held at the end", n)
			}
		})
	}
}

// The clients with the largest inputs are closed, of these the oldest; those with small ones stay.
func TestLargestInputGoes(t *testing.T) {
	t.Parallel()
	in, small := keeping(t, "heads", 1000, func(c *gateway.Config) { c.Limits.TotalInputBytes = 1 << 20 })
	first := in.raw(small)
	eventually(t, "it is held", func() bool { return in.InputBytes() > 1000 })
	_, large := keeping(t, "heads", 60<<10, func(*gateway.Config) {})
	for range 100 {
		in.raw(large)
	}
	eventually(t, "many are turned away", func() bool { return in.totals().rejects[reasons.RejectTotalInput] > 50 })
	io.WriteString(first, "\r\nAccept: text/event-stream\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || resp.StatusCode != 401 {
		t.Errorf("the small request is answered %v, %v; want 401", resp, err)
	}
}

// An input is freed when its client completes it, or disconnects.
func TestInputIsGivenBack(t *testing.T) {
	t.Parallel()
	for way := range unfinished {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			in, text := keeping(t, way, 20<<10, func(*gateway.Config) {})
			var conns []net.Conn
			for range 10 {
				conns = append(conns, in.raw(text))
			}
			eventually(t, "they are held", func() bool { return in.InputBytes() > 10*10<<10 && in.totals().accepts == 10 })
			for _, c := range conns {
				reset(c)
			}
			eventually(t, "nothing is left of them", func() bool {
				return in.InputBytes() == 0 && in.Kept() == gateway.Kept{}
			})
		})
	}
}

// Unfinished requests take about as much memory as is counted for them, however they arrived.
func TestInputsTakeWhatIsCounted(t *testing.T) {
	gateway.InTheClear(t, gateway.BytesOnTheWire)
	for way := range unfinished {
		for _, size := range []int{100, 700, 10_000, 50_000} {
			if size == 100 && (way == "WebSockets without a token" || way == "requests ahead of an answer") {
				continue // such a client takes more besides
			}
			clients := max(200, min(1000, 2_000_000/size))
			in, text := keeping(t, way, size, func(c *gateway.Config) {})
			var conns []net.Conn
			for range clients {
				conns = append(conns, in.raw(""))
			}
			eventually(t, "all are connected", func() bool { return in.totals().connections == clients })
			before := gatewaytest.HeapInUse()
			for _, c := range conns {
				io.WriteString(c, text[:len(text)-1])
			}
			read := func() bool { return in.totals().bytesIn >= uint64(clients*(len(text)-1)) }
			if way == "requests ahead of an answer" && size > gateway.MaxPipelined {
				read = func() bool { return in.Kept().Paused == clients }
			}
			eventually(t, "all is read", read)
			for _, c := range conns { // the last byte arrives alone
				io.WriteString(c, text[len(text)-1:])
			}
			held := func() int {
				k := in.Kept()
				if way == "WebSockets without a token" {
					return k.Unknown
				}
				return k.Inputs
			}
			eventually(t, "all is held", func() bool {
				return held() == clients && (size > gateway.MaxPipelined || in.totals().bytesIn == uint64(clients*len(text)))
			})
			counted, grown := in.InputBytes(), gatewaytest.HeapInUse()-before
			if grown > counted*3/2 || counted > grown*2 {
				t.Errorf("%s of %d bytes: %d bytes are held, %d are counted", way, size, grown, counted)
			}
			t.Logf("%s of %d bytes: %d bytes are held, %d are counted", way, size, grown, counted)
			for _, c := range conns {
				c.Close()
			}
			in.halt()
		}
	}
}
