package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// longDrain has the drain come in full size: make drain.
var longDrain = flag.Bool("drain.long", false, "drain a gateway with 15,000 clients")

// goodbye is how a client's connection ended.
type goodbye struct {
	at   time.Time // of the close frame
	bye  gatewaytest.Message
	code int
	err  error // it was cut
}

// listen reads until the connection ends.
func listen(c *websocket.Conn) (g goodbye) {
	defer c.Close()
	for {
		_, text, err := c.ReadMessage()
		g.at = time.Now()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			g.code = closed.Code
			return g
		}
		if err == nil {
			err = json.Unmarshal(text, &g.bye)
		}
		if err != nil {
			g.err = err
			return g
		}
	}
}

// connectAll connects n clients that have been welcomed, from a few addresses.
func connectAll(t *testing.T, addr string, n int) []*websocket.Conn {
	t.Helper()
	const dialers = 50
	clients := make([]*websocket.Conn, n)
	var all sync.WaitGroup
	for first := range dialers {
		local := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+first%5))}}
		d := websocket.Dialer{NetDialContext: local.DialContext, ReadBufferSize: 512, WriteBufferSize: 256, HandshakeTimeout: gatewaytest.Patience}
		all.Go(func() {
			for i := first; i < n; i += dialers {
				c, _, err := d.Dial("ws://"+addr+"/v1/ws", nil)
				if err == nil {
					_, _, err = c.ReadMessage()
				}
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				clients[i] = c
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return clients
}

// mostWithin returns the most of the times, in order, that lie within a window.
func mostWithin(window time.Duration, times []time.Time) (most int) {
	first := 0
	for i := range times {
		for times[i].Sub(times[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// On SIGTERM every client is told, none is cut, all go evenly over
// drain.timeout, and the process ends with 0.
func TestDrainOfMany(t *testing.T) {
	n, over := 600, 3*time.Second
	if *longDrain {
		n, over = 15_000, 10*time.Second
	}
	const (
		window  = 500 * time.Millisecond
		farFrom = 1.5 // the mean
	)
	redis := redistest.Start(t)
	mean := float64(n) * window.Seconds() / over.Seconds()
	// Other programs on the machine can hold up one drain for a moment, not each.
	for try := 1; ; try++ {
		most := drainMany(t, startGateway(t, redis, "--drain.timeout", over.String()), n, over, window)
		t.Logf("  within any %v: %d closed at most, %.2f times the mean of %.0f", window, most, float64(most)/mean, mean)
		if float64(most) <= farFrom*mean {
			return
		}
		if try == 5 {
			t.Fatalf("%d were closed within %v, the mean is %.0f", most, window, mean)
		}
	}
}

// drainMany connects n clients, drains the gateway and returns the most that
// were closed within a window.
func drainMany(t *testing.T, g *gatewaytest.Process, n int, over, window time.Duration) (most int) {
	t.Helper()
	clients := connectAll(t, g.Public, n)
	ends := make([]goodbye, n)
	var reading sync.WaitGroup
	for i, c := range clients {
		c.SetReadDeadline(time.Now().Add(over + gatewaytest.Patience))
		reading.Go(func() { ends[i] = listen(c) })
	}
	begin := time.Now()
	g.Signal(syscall.SIGTERM)
	reading.Wait()
	g.Exits()
	took := time.Since(begin)

	var times []time.Time
	for i, end := range ends {
		if end.err != nil || end.code != websocket.CloseServiceRestart || end.bye.Type != "bye" || end.bye.Reason != "drain" ||
			end.bye.ReconnectAfterMS < 1 || end.bye.ReconnectAfterMS > defaultSettings().Drain.Reconnect.Milliseconds() {
			t.Fatalf("client %d: %+v", i, end)
		}
		times = append(times, end.at)
	}
	slices.SortFunc(times, time.Time.Compare)
	after := func(at time.Time) string { return fmt.Sprintf("%.1f s", at.Sub(begin).Seconds()) }
	t.Logf("%d clients, drain.timeout %v: bye and code 1012 to each, the first after %s, half after %s, the last after %s",
		n, over, after(times[0]), after(times[n/2]), after(times[n-1]))
	t.Logf("  the gateway ended %s after SIGTERM", after(begin.Add(took)))
	if took < over-window || took > over+5*time.Second {
		t.Errorf("the drain took %v, want %v", took, over)
	}
	return mostWithin(window, times)
}
