package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway"
)

// chaosTimeEnv sets the duration of TestChaos; `make chaos` sets a minute.
const chaosTimeEnv = "CHAOS_TIME"

// script returns the bytes that a chaos client sends before it's cut off.
func script(random *rand.Rand) []byte {
	channel := fmt.Sprint("chaos.", random.IntN(50))
	switch random.IntN(8) {
	case 0:
		return []byte(strings.Repeat(healthHead, 1+random.IntN(20)))
	case 1:
		noise := make([]byte, random.IntN(300))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		return noise
	}
	b := []byte(strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=all,"+channel, 1))
	for range random.IntN(6) {
		switch random.IntN(6) {
		case 0:
			b = append(b, gateway.Frame(ws.OpPing, "chaos")...)
		case 1:
			b = append(b, gateway.Frame(ws.OpText, `{"type":"unsubscribe","channel":"`+channel+`"}`)...)
		case 2:
			b = append(b, gateway.Frame(ws.OpText, `{"type":"subscribe","channel":"`+channel+`","since":"~x-1"}`)...)
		case 3: // in two fragments
			first := gateway.Frame(ws.OpText, `{"type":`)
			first[0] &^= 0x80
			b = append(append(b, first...), gateway.Frame(ws.OpContinuation, `"ping"}`)...)
		case 4:
			b = append(b, gateway.Frame(ws.OpText, strings.Repeat("x", random.IntN(9000)))...)
		case 5:
			b = append(b, gateway.Frame(ws.OpClose, "\x03\xe8")...)
		}
	}
	return b
}

// cut opens a connection, sends the start of a script in pieces, and cuts it
// off in one of the ways in which connections end.
func cut(random *rand.Rand, addr string) error {
	d := clientDialer{Dialer: net.Dialer{
		// So many that no pool of ports is used up by closed connections.
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+random.IntN(250)))},
		Timeout:   patience,
	}}
	if random.IntN(3) == 0 {
		d.Control = smallDialer.Control
	}
	c, err := d.Dial("tcp", addr)
	if errors.Is(err, io.EOF) {
		return nil // a TLS handshake that took longer than limits.head_timeout
	}
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b := script(random)
	for b = b[:random.IntN(len(b)+1)]; len(b) > 0; {
		n := 1 + random.IntN(len(b))
		if _, err := c.Write(b[:n]); err != nil {
			return nil // the gateway was first
		}
		b = b[n:]
		if random.IntN(2) == 0 {
			c.SetReadDeadline(time.Now().Add(time.Duration(random.IntN(5)) * time.Millisecond))
			c.Read(make([]byte, 1+random.IntN(4000)))
		}
	}
	switch random.IntN(3) {
	case 0:
		reset(c)
	case 1:
		closeWrite(c)
		c.SetReadDeadline(time.Now().Add(time.Duration(random.IntN(20)) * time.Millisecond))
		io.Copy(io.Discard, c)
	}
	return nil
}

// Whatever a thousand clients do, and wherever they are cut off, a good one
// beside them is served, and nothing is left of the others.
func TestChaos(t *testing.T) {
	lasting := 3 * time.Second
	if v := os.Getenv(chaosTimeEnv); v != "" {
		var err error
		if lasting, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	in := start(t, func(c *gateway.Config) {
		c.Limits.QueueBytes = 64 << 10
		c.Limits.HeadTimeout, c.Limits.IdleTimeout = time.Second, time.Second
		c.Heartbeat = gateway.HeartbeatConfig{Interval: 5 * time.Second, Timeout: 5 * time.Second}
	}).ready()
	good := in.subscribed("all")
	goroutines := runtime.NumGoroutine()

	end := time.Now().Add(lasting)
	var opened atomic.Int64
	var bad sync.WaitGroup
	for n := range 1000 {
		bad.Go(func() {
			random := rand.New(rand.NewPCG(uint64(end.UnixNano()), uint64(n)))
			for time.Now().Before(end) {
				if err := cut(random, in.Addr()); err != nil {
					t.Error(err)
					return
				}
				opened.Add(1)
				// The clients are in the gateway's process: they leave it some
				// of the time.
				time.Sleep(time.Duration(random.IntN(800)) * time.Millisecond)
			}
		})
	}
	payload := strings.Repeat("x", 2000)
	sent := 0
	longest := time.Duration(0)
	for ; time.Now().Before(end); sent++ {
		begin := time.Now()
		in.redis.Publish(fmt.Sprint("chaos.", sent%50), payload)
		in.redis.Publish("all", fmt.Sprintf("%d %s", sent, payload))
		if e := good.expect("message"); !strings.HasPrefix(string(e.Data), fmt.Sprintf(`"%d x`, sent)) {
			t.Fatalf("the good client got %.20s in place of %d", e.Data, sent)
		}
		longest = max(longest, time.Since(begin))
	}
	bad.Wait()
	t.Logf("%d connections; %d messages to the good client, none later than %v", opened.Load(), sent, longest.Round(time.Millisecond))
	if longest > 3*time.Second {
		t.Errorf("the good client waited for %v", longest)
	}
	if opened.Load() < 1000 {
		t.Errorf("only %d connections were cut", opened.Load())
	}

	eventually(t, "nothing is left of the bad ones", func() bool {
		st := in.totals()
		return st.connections == 1 && st.subscriptions == 1 && st.channels == 1 && st.queues == 0 && st.queueBytes == 0
	})
	good.write(`{"type":"ping"}`)
	good.expect("pong")
	good.Close()
	eventually(t, "nobody is left", func() bool { return in.totals().connections == 0 })
	for _, series := range []string{"gateway_connections", `gateway_clients{transport="websocket"}`,
		"gateway_subscriptions", "gateway_channels", "gateway_queues", "gateway_queue_bytes"} {
		if v := in.metric(series); v != 0 {
			t.Errorf("%s is %v", series, v)
		}
	}
	if k := in.Kept(); k != (gateway.Kept{}) {
		t.Errorf("the shards keep %+v", k)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}
