package attacks

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// startTLS runs a gateway with a TLS listener, and returns its address.
func startTLS(t testing.TB, flags ...string) (g *gateway, addr string) {
	t.Helper()
	redis := redistest.Start(t)
	addr = gatewaytest.Address(t)
	return startGateway(t, redis, redis.URL(), append([]string{"--tls.self_signed", "--tls.listen", addr}, flags...)...), addr
}

// byteWriter writes byte by byte, each in a segment of its own.
type byteWriter struct{ net.Conn }

func (w byteWriter) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		_, err = w.Conn.Write(p[n : n+1])
		n++
	}
	return n, err
}

// TestTLSByteByByte: it doesn't matter how records are cut.
func TestTLSByteByByte(t *testing.T) {
	_, addr := startTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			s := tls.Client(byteWriter{c}, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			r := bufio.NewReader(s)
			for range 3 {
				io.WriteString(s, get("/healthz"))
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(resp.Body); string(text) != "ok\n" || err != nil {
					t.Errorf("%q, %v", text, err)
				}
			}
		})
	}
}

// How a connection ends after an illegal record.
const (
	silently = "EOF" // by limits.head_timeout, without an alert
	fits     = ""    // it is legal in this version
)

// TestTLSRecords has clients send illegal records: each gets its alert and the end, at
// once or when its time is up.
func TestTLSRecords(t *testing.T) {
	const soon = time.Second
	// At one gateway only an alert ends a connection within the test's patience, at the other only
	// the time does.
	calm, addr := startTLS(t, "--limits.head_timeout", (2 * patience).String())
	hasty, hastyAddr := startTLS(t, "--limits.head_timeout", soon.String())
	late := 0 // connections that end by their time
	for name, test := range map[string]struct {
		say              func(r *records) []byte
		alert13, alert12 string
	}{
		"a flipped bit": {func(r *records) []byte {
			b := r.seal(typeData, get("/healthz"))
			b[len(b)/2] ^= 1
			return b
		}, "bad record MAC", "bad record MAC"},
		"a truncated record": {func(r *records) []byte {
			b := r.seal(typeData, get("/healthz"))
			return append(header(typeData, len(b)-5-1), b[5:len(b)-1]...)
		}, "bad record MAC", "bad record MAC"},
		"a record sent twice": {func(r *records) []byte {
			b := r.seal(typeData, "\r\n")
			return append(b, b...)
		}, "bad record MAC", "bad record MAC"},
		"another type by its header": {func(r *records) []byte {
			b := r.seal(typeData, "\x01\x00")
			b[0] = typeAlert
			return b
		}, "unexpected message", "bad record MAC"},
		"too large by its header":  {func(*records) []byte { return header(typeData, 1<<16-1) }, "record overflow", "record overflow"},
		"too large by its content": {func(r *records) []byte { return r.seal(typeData, strings.Repeat("a", maxData+1)) }, "record overflow", "record overflow"},
		"too small":                {func(*records) []byte { return header(typeData, 16) }, "bad record MAC", "bad record MAC"},
		"in clear":                 {func(*records) []byte { return append(header(typeHandshake, 5), 24, 0, 0, 1, 0) }, "unexpected message", "bad record MAC"},
		"an unknown version":       {func(*records) []byte { return []byte{typeData, 9, 9, 0, 100} }, "protocol version not supported", "protocol version not supported"},
		"a hello":                  {func(r *records) []byte { return r.seal(typeHandshake, "\x01\x00\x00\x01\x00") }, "unexpected message", "no renegotiation"},
		"an alert of one byte":     {func(r *records) []byte { return r.seal(typeAlert, "\x01") }, "unexpected message", "unexpected message"},
		"an unknown type":          {func(r *records) []byte { return r.seal(99, "\x00") }, "unexpected message", "unexpected message"},
		"padding alone":            {func(r *records) []byte { return r.seal(0, "\x00\x00") }, "unexpected message", "unexpected message"},
		"an illegal key update":    {func(r *records) []byte { return r.seal(typeHandshake, "\x18\x00\x00\x01\x02") }, "illegal parameter", "unexpected message"},
		"a key update and more":    {func(r *records) []byte { return r.seal(typeHandshake, "\x18\x00\x00\x01\x00\x18") }, "unexpected message", "unexpected message"},
		"data in a key update": {func(r *records) []byte {
			return append(r.seal(typeHandshake, "\x18\x00"), r.seal(typeData, "G")...)
		}, "unexpected message", "unexpected message"},
		"many key updates": {func(r *records) []byte { return r.updates(100, "") }, "unexpected message", fits},
		"many empty ones": {func(r *records) (b []byte) {
			for range 100 {
				b = append(b, r.seal(typeData, "")...)
			}
			return b
		}, "unexpected message", "unexpected message"},
		"one that never ends":  {(*records).parked, silently, silently},
		"one byte of a record": {func(*records) []byte { return []byte{typeData} }, silently, silently},
	} {
		for version, alert := range map[uint16]string{tls.VersionTLS13: test.alert13, tls.VersionTLS12: test.alert12} {
			if alert == fits {
				continue
			}
			addr := addr
			if alert == silently {
				addr = hastyAddr
				late++
			}
			t.Run(name+", "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				c, r := dialSecure(t, addr, version)
				begin := time.Now()
				if _, err := c.Write(test.say(r)); err != nil {
					t.Fatal(err)
				}
				_, err := io.Copy(io.Discard, r.Conn)
				if err == nil {
					err = io.EOF
				}
				if !strings.HasSuffix(err.Error(), alert) {
					t.Errorf("it ends by %v, want %s", err, alert)
				}
				if took := time.Since(begin); alert == silently && took < soon*3/4 {
					t.Errorf("it ends after %v", took)
				}
				if n, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("behind the end come %d bytes, %v", n, err)
				}
			})
		}
	}
	t.Cleanup(func() { // once all have ended
		settled(t, calm)
		settled(t, hasty)
		if n := hasty.Metric(`gateway_tls_failures_total{reason="partial"}`); n != float64(late) {
			t.Errorf("%v of %d partial records are counted", n, late)
		}
	})
}

// TestTLSCutRecords: a client's end in the middle of a record ends its connection, whatever that is
// used for, and nothing of the record counts.
func TestTLSCutRecords(t *testing.T) {
	g, addr := startTLS(t, "--limits.head_timeout", (2 * patience).String(), "--channels", `[{"match":["**"],"publish":true}]`)
	heard := g.Redis.Client.Subscribe(t.Context(), "push:cut")
	defer heard.Close()
	if _, err := heard.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish := `{"channel":"cut","data":1}`
	cuts := 0
	for name, test := range map[string]struct{ say, hear, cut string }{
		"at first":        {"", "", post("/v1/publish", len(publish)) + publish},
		"behind a head":   {post("/v1/publish", len(publish)), "", publish},
		"behind a poll":   {get("/v1/poll?channels=a&wait=50"), "", post("/v1/publish", len(publish)) + publish},
		"a response":      {get("/healthz"), "ok\n", post("/v1/publish", len(publish)) + publish},
		"an event stream": {get("/v1/sse?channels=a"), "subscribed", get("/healthz")},
		"a WebSocket":     {upgrade("/v1/ws?channels=a"), "subscribed", string(text(`{"type":"publish",` + publish[1:]))},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cuts++
			t.Run(name+", "+tls.VersionName(version), func(t *testing.T) {
				c, r := dialSecure(t, addr, version)
				if test.say != "" {
					c.Write(r.seal(typeData, test.say))
				}
				for got := ""; !strings.Contains(got, test.hear); {
					b := make([]byte, 4096)
					n, err := r.Conn.Read(b)
					if err != nil {
						t.Fatal(err)
					}
					got += string(b[:n])
				}
				b := r.seal(typeData, test.cut)
				c.Write(b[:len(b)-1])
				c.CloseWrite()
				io.Copy(io.Discard, c)
				settled(t, g)
			})
		}
	}
	if n := g.Metric(`gateway_tls_failures_total{reason="partial"}`); n != float64(cuts) {
		t.Errorf("%v of %d partial records are counted", n, cuts)
	}
	const end = `{"channel":"cut","data":"the end"}`
	if status, body, err := gatewaytest.Request("POST", "http://"+g.Public+"/v1/publish", end); status != 200 || err != nil {
		t.Fatal(status, body, err)
	}
	if m, err := heard.ReceiveMessage(t.Context()); err != nil || !strings.Contains(m.Payload, "the end") {
		t.Errorf("a record that was never whole has published %v, %v", m, err)
	}
}

// dialSecure connects and carries out the handshake. The connection is closed when the test ends.
func dialSecure(t *testing.T, addr string, version uint16) (*net.TCPConn, *records) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r, err := secure(c, version, patience)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), r
}

// settled waits until a gateway is free of connections and handshakes.
func settled(t *testing.T, g *gateway) {
	t.Helper()
	eventually(t, "nothing is left", func() bool {
		return g.Metric("gateway_connections") == 0 && g.Metric("gateway_tls_handshakes_in_progress{") == 0 && g.Metric("gateway_input_bytes") == 0
	})
}

// TestTLSHalfHandshakes: clients that stop in their handshake are closed once limits.head_timeout
// is over, and those that vanish are forgotten at once.
func TestTLSHalfHandshakes(t *testing.T) {
	const patient = time.Second
	g, addr := startTLS(t, "--limits.head_timeout", patient.String())
	whole := hello()
	for name, say := range map[string][]byte{"nothing": nil, "a byte": whole[:1], "half a hello": whole[:len(whole)/2], "a hello": whole} {
		for _, vanishes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, vanishes=%v", name, vanishes), func(t *testing.T) {
				t.Parallel()
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				begin := time.Now()
				c.Write(say)
				if vanishes {
					c.(*net.TCPConn).SetLinger(0)
					return
				}
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took < patient*3/4 || took > 5*patient {
					t.Errorf("it ends after %v", took)
				}
			})
		}
	}
	t.Cleanup(func() {
		settled(t, g)
		if n := g.Metric(`gateway_tls_failures_total{reason="timeout"}`); n != 4 {
			t.Errorf("%v handshakes have timed out", n)
		}
	})
}

// TestTLSParkedRecords: the starts of records count against limits.total_input_bytes, and whoever
// has most of it is closed.
func TestTLSParkedRecords(t *testing.T) {
	const n, total = 400, 2 << 20
	g, addr := startTLS(t, "--limits.total_input_bytes", fmt.Sprint(total))
	parkAll(t, addr, n)
	eventually(t, "the others are closed", func() bool { return g.Metric(`gateway_closes_total{reason="rejected"}`) >= n-total/maxRecord })
	if held := g.Metric("gateway_input_bytes"); held > total || held < total/2 {
		t.Errorf("%.0f bytes are counted of %d that may be", held, total)
	}
	if status, body := gatewaytest.Get(t, "http://"+g.Public+"/healthz"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}

// parkAll has n clients park a record each, by several at a time, until the test's end.
func parkAll(t testing.TB, addr string, n int) {
	t.Helper()
	openEach(t, &net.Dialer{}, addr, n, func(_ int, c net.Conn) error {
		r, err := secure(c, tls.VersionTLS13, patience)
		if err == nil {
			c.Write(r.parked()) // which the gateway may have closed by now
		}
		return err
	})
}

// holdRecords has records over TLS that are never whole.
func holdRecords(t *testing.T) (rows []row) {
	const n, total = 5000, 64 << 20
	t.Run("records", func(t *testing.T) {
		g, addr := startTLS(t, calm...)
		before := g.resident()
		parkAll(t, addr, n)
		eventually(t, "some are closed", func() bool { return g.Metric(`gateway_closes_total{reason="rejected"}`) > 0 })
		counted := g.Metric("gateway_input_bytes")
		if counted > total {
			t.Errorf("%.0f bytes of records are counted", counted)
		}
		rows = append(rows, row{
			what: "TLS records that are never whole", client: "16 KiB", all: "`limits.total_input_bytes`, 64 MiB",
			reached: fmt.Sprintf("%d clients, %s counted", n, mib(int(counted))), memory: g.memory() - before, bound: total,
		})
	})
	return rows
}
