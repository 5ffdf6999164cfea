package gateway_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
)

// returned waits for the end of Run.
func (in *instance) returned() {
	in.t.Helper()
	select {
	case err := <-in.ended:
		if err != nil {
			in.t.Errorf("Run returned %v", err)
		}
	case <-time.After(patience):
		in.t.Fatal("Run does not return")
	}
}

// refused reports whether the public address is closed.
func (in *instance) refused() bool {
	c, err := dialer.Dial("tcp", in.Addr())
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// parting is one client's view of a drain.
type parting struct {
	at    time.Time // of the close frame
	code  int
	bye   event
	extra int // messages besides bye
	err   error
}

// parted reads until the connection ends.
func (c *client) parted() (p parting) {
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		_, text, err := c.ReadMessage()
		p.at = time.Now()
		var ce *websocket.CloseError
		if errors.As(err, &ce) {
			p.code = ce.Code
			return p
		}
		if err != nil {
			p.err = err
			return p
		}
		if p.bye.Type != "" {
			p.extra++
		}
		if p.err = json.Unmarshal(text, &p.bye); p.err != nil {
			return p
		}
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	const (
		clients = 300
		delay   = 2 * time.Second
		over    = 3 * time.Second
		back    = 1500 * time.Millisecond
	)
	in := start(t, func(c *gateway.Config) { c.Drain = gateway.DrainConfig{Delay: delay, Timeout: over, Reconnect: back} }).ready()
	var all []*client
	for range clients {
		c := in.dial("/v1/ws")
		c.expect("welcome")
		all = append(all, c)
	}
	begin := time.Now()
	in.stop()
	eventually(t, "readiness is gone", func() bool {
		status, body := in.get("http://" + in.Addr() + "/readyz")
		return status == 503 && strings.Contains(body, "draining")
	})
	if took := time.Since(begin); took > delay {
		t.Errorf("readiness turned after %v, want at once", took)
	}
	if status, body := in.get("http://" + in.AdminAddr() + "/readyz"); status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("readyz on the admin listener: %d %q", status, body)
	}
	if status, _ := in.get("http://" + in.Addr() + "/healthz"); status != 200 {
		t.Errorf("healthz while draining: %d", status)
	}
	partings := make([]parting, clients)
	var reading sync.WaitGroup
	for i, c := range all {
		reading.Go(func() {
			partings[i] = c.parted()
			c.Close()
		})
	}
	eventually(t, "nobody listens", in.refused)
	closed := time.Now()
	if took := closed.Sub(begin); took < delay {
		t.Errorf("the listener closed after %v, want %v", took, delay)
	}
	reading.Wait()
	in.returned()
	took := time.Since(begin)
	if took < delay+over-2*gateway.Tick || took > delay+over+gateway.Linger-time.Second {
		t.Errorf("the drain took %v", took)
	}

	first, last := partings[0].at, partings[0].at
	var thirds [3]int // of the reconnect delays
	for i, p := range partings {
		if p.err != nil || p.code != 1012 || p.bye.Type != "bye" || p.bye.Reason != "drain" || p.extra != 0 {
			t.Fatalf("client %d: %+v", i, p)
		}
		ms := p.bye.ReconnectAfterMS
		if ms < 1 || ms > back.Milliseconds() {
			t.Fatalf("client %d is to come back after %d ms", i, ms)
		}
		thirds[(ms-1)*3/back.Milliseconds()]++
		if p.at.Before(first) {
			first = p.at
		}
		if p.at.After(last) {
			last = p.at
		}
	}
	for _, n := range thirds {
		// 100 each, with a standard deviation of 8.
		if n < 55 {
			t.Errorf("the times to come back are not spread: %v in the thirds", thirds)
			break
		}
	}
	if first.Before(begin.Add(delay)) || last.Sub(first) < over-500*time.Millisecond {
		t.Errorf("closed from %v to %v after the signal", first.Sub(begin), last.Sub(begin))
	}
	// In no half second more than 1.5 times the mean, wherever it begins.
	const window, most = 500 * time.Millisecond, clients * 500 * 3 / 2 / 3000
	for _, from := range partings {
		n := 0
		for _, p := range partings {
			if d := p.at.Sub(from.at); d >= 0 && d < window {
				n++
			}
		}
		if n > most {
			t.Errorf("%d clients were closed within %v of %v, want at most %d", n, window, from.at.Sub(begin), most)
			break
		}
	}
}

// A client that ignores the close frame doesn't hold up the exit for longer
// than a second.
func TestDrainLeavesTheDeafBehind(t *testing.T) {
	t.Parallel()
	const over = 300 * time.Millisecond
	in := start(t, func(c *gateway.Config) { c.Drain.Timeout = over }).ready()
	deaf := in.raw(upgradeHead)
	if status, _ := answerOf(t, deaf); status != 101 {
		t.Fatalf("handshake: %d", status)
	}
	full := in.lazy("flood") // with a queue that never empties
	in.redis.Publish("flood", strings.Repeat("x", 200<<10))
	eventually(t, "the kernel refuses it", func() bool { return in.totals().queueBytes > 0 })
	begin := time.Now()
	in.stop()
	in.returned()
	if took := time.Since(begin); took > over+gateway.Linger-time.Second {
		t.Errorf("the exit took %v", took)
	}
	full.Close()
}

func TestDrainOfNobodyIsQuick(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Drain.Timeout = time.Minute }).ready()
	begin := time.Now()
	in.stop()
	in.returned()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the exit took %v", took)
	}
	if !in.refused() {
		t.Error("somebody still listens")
	}
}

// Requests in flight when the listener closes get a response, or the stream ends in order: a reset
// would look like a crash to a load balancer.
func TestDrainResetsNobody(t *testing.T) {
	gateway.InTheClear(t, gateway.HeldLoops)
	const clients = 40
	in := start(t, nil).ready()
	// Both loops stand still while the kernel completes connections and the
	// drain begins.
	release := in.hold()
	var all []net.Conn
	for i := range clients {
		head := healthHead
		switch i % 4 {
		case 1:
			head = upgradeHead
		case 2:
			head = ""
		case 3:
			head = "GET /healthz HTT"
		}
		all = append(all, in.raw(head))
	}
	in.stop()
	eventually(t, "the drain has begun", func() bool { return in.DrainBegun() })
	// Let the posts of the drain and of a tick or two pile up.
	waited := time.NewTimer(3 * gateway.Tick)
	<-waited.C
	release()
	for i, c := range all {
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		switch i % 4 {
		case 0:
			if err != nil || resp.StatusCode != 200 || !resp.Close {
				t.Errorf("a request got %v, %v", resp, err)
			}
		case 1:
			// drain.reconnect is 2 s.
			if err != nil || resp.StatusCode != 503 || !slices.Contains([]string{"1", "2"}, resp.Header.Get("Retry-After")) {
				t.Errorf("a handshake got %v, %v", resp, err)
			}
		default:
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				t.Errorf("a client without a request got %v, %v", resp, err)
			}
			err = nil
		}
		if err == nil {
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
		c.Close()
	}
	in.returned()
}

// A client that connects during drain.delay is served: its load balancer doesn't know of the drain
// yet. It is closed with the others.
func TestHandshakeWhileDraining(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Drain.Delay = 2 * time.Second }).ready()
	in.stop()
	eventually(t, "the drain has begun", func() bool { return in.DrainBegun() })
	c := in.dial("/v1/ws")
	c.expect("welcome")
	if e := c.expect("bye"); e.Reason != "drain" {
		t.Errorf("got %+v", e)
	}
	if code := c.closed(); code != 1012 {
		t.Errorf("closed with %d", code)
	}
}

// Idle connections of a proxy are closed at once in a drain, and a poll response ends its
// connection: the next request on either would be refused while the other nodes are ready.
func TestDrainKeepsNoConnectionForAnother(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Drain.Timeout = time.Hour }).ready()
	stays := in.dial("/v1/ws")
	stays.expect("welcome")
	idle := in.raw(healthHead)
	r := bufio.NewReader(idle)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.Close {
		t.Fatalf("%v, %v", resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	poll := in.raw("GET /v1/poll?channels=news&wait=50 HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the poll waits", func() bool { return in.totals().clients["poll"] == 1 && in.totals().subscriptions == 1 })
	in.stop()
	if n, err := io.Copy(io.Discard, r); n != 0 || err != nil {
		t.Errorf("the idle connection got %d bytes, %v", n, err)
	}
	in.redis.Publish("news", "1")
	if resp, err := http.ReadResponse(bufio.NewReader(poll), nil); err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("the poll got %v, %v", resp, err)
	}
	if n := in.totals().clients["websocket"]; n != 1 {
		t.Errorf("%d clients are left of one that has an hour", n)
	}
	stays.Close() // the last one
}
