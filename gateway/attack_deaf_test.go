package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// deafClients runs clients that subscribe to a channel, never read, and reconnect after a while. It
// returns the number of connects when ctx ends.
func deafClients(ctx context.Context, addr, channel string, n int) (came int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	head := strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels="+channel, 1)
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				// With a receive buffer of 2 KiB all that it doesn't read is the
				// gateway's burden.
				c, err := smallDialer.DialContext(ctx, "tcp", addr)
				stay := 500*time.Millisecond + rand.N(4*time.Second)
				if err == nil {
					_, _ = io.WriteString(c, head) // it may be rejected
					mu.Lock()
					came++
					mu.Unlock()
				}
				select {
				case <-ctx.Done():
				case <-time.After(stay):
				}
				if err == nil {
					c.Close()
				}
			}
		})
	}
	all.Wait()
	return came
}

// reader is a good client of a channel of numbered messages.
type reader struct {
	*websocket.Conn
	got  int             // in order and without a hole
	took []time.Duration // from publish to read
	err  error
}

// read takes messages until want of them are there.
func (r *reader) read(begin time.Time, want int) {
	for r.got < want {
		r.SetReadDeadline(time.Now().Add(patience))
		_, text, err := r.ReadMessage()
		var e struct {
			Type string
			Data struct {
				N  int
				At time.Duration
			}
		}
		if err == nil {
			err = json.Unmarshal(text, &e)
		}
		if err == nil && (e.Type != "message" || e.Data.N != r.got) {
			err = fmt.Errorf("%.200s in place of message %d", text, r.got)
		}
		if err != nil {
			r.err = err
			return
		}
		r.got++
		r.took = append(r.took, time.Since(begin)-e.Data.At)
	}
}

// figures returns the value of some series of a gateway's metrics.
func (a *attacked) figures(series ...string) []float64 {
	a.t.Helper()
	resp, err := gatewaytest.Once.Get("http://" + a.admin + "/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	values := make([]float64, len(series))
	for line := range strings.Lines(string(body)) {
		for i, name := range series {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				fmt.Sscan(rest, &values[i])
			}
		}
	}
	return values
}

// rss returns the gateway's resident memory in bytes.
func (a *attacked) rss() int {
	a.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", a.pid))
	if err != nil {
		a.t.Fatal(err)
	}
	var size, resident int
	fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize()
}

// publishAt publishes n numbered messages at a pace, as many at a time as are
// due.
func (a *attacked) publishAt(channel string, n, perSecond int, begin time.Time) {
	filler := strings.Repeat("x", 80)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < n; <-tick.C {
		pipe := a.redis.Client.Pipeline()
		for due := min(n, int(time.Since(begin).Seconds()*float64(perSecond))+1); sent < due; sent++ {
			pipe.Publish(context.Background(), "push:"+channel, fmt.Sprintf(`{"n":%d,"at":%d,"filler":%q}`, sent, time.Since(begin), filler))
		}
		if _, err := pipe.Exec(context.Background()); err != nil {
			a.t.Error(err)
			return
		}
	}
}

// Clients that never read are closed before their pending output passes its bound, again and again;
// good clients of the same channel lose nothing.
func TestAttackDeafClients(t *testing.T) {
	deaf, good, perSecond, during, total := 200, 10, 500, 6*time.Second, 16<<20
	if *longAttacks {
		deaf, good, perSecond, during, total = 2000, 20, 1000, 30*time.Second, gateway.DefaultConfig().Limits.TotalQueueBytes
	}
	a := attack(t, func(c *gateway.Config) {
		c.Admin.Listen = "127.0.0.1:0"
		c.Limits.TotalQueueBytes = total
	})
	before := a.rss()
	readers := make([]*reader, good)
	for i := range readers {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+a.addr+"/v1/ws?channels=flood", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 { // welcome, subscribed
			if _, _, err := c.ReadMessage(); err != nil {
				t.Fatal(err)
			}
		}
		readers[i] = &reader{Conn: c}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var attackers, reading sync.WaitGroup
	came := 0
	attackers.Go(func() { came = deafClients(ctx, a.addr, "flood", deaf) })

	n := perSecond * int(during.Seconds())
	begin := time.Now()
	for _, r := range readers {
		reading.Go(func() { r.read(begin, n) })
	}
	queued, queues, resident := 0.0, 0.0, 0
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	published := make(chan struct{}) // closed after the last message
	go func() {
		defer close(published)
		a.publishAt("flood", n, perSecond, begin)
	}()
	for done := false; !done; {
		select {
		case <-published:
			done = true
		case <-look.C:
		}
		now := a.figures("gateway_queue_bytes", "gateway_queues")
		queued, queues, resident = max(queued, now[0]), max(queues, now[1]), max(resident, a.rss())
	}
	took := time.Since(begin)
	reading.Wait()
	stop()
	attackers.Wait()

	var times []time.Duration
	for i, r := range readers {
		if r.err != nil || r.got != n {
			t.Errorf("good client %d got %d of %d messages: %v", i, r.got, n, r.err)
		}
		times = append(times, r.took...)
	}
	slices.Sort(times)
	ends := a.figures(`gateway_closes_total{reason="slow"}`, `gateway_closes_total{reason="overload"}`)
	slow := ends[0] + ends[1]
	t.Logf("%d clients that never read, %.0f messages a second for %v:", deaf, float64(n)/took.Seconds(), took.Round(time.Second))
	t.Logf("  they came %d times, %.0f were closed for what waited for them", came, slow)
	t.Logf("  queued: at most %.1f MiB of %d MiB allowed, for %.0f clients; resident: %.0f MiB before, %.0f at most",
		queued/(1<<20), total>>20, queues, float64(before)/(1<<20), float64(resident)/(1<<20))
	t.Logf("  %d good clients got %d messages of %d, 99 %% of them within %v", good, len(times), good*n,
		times[len(times)*99/100].Round(time.Millisecond))
	if queued > float64(total) {
		t.Errorf("%.0f bytes were queued, %d are allowed", queued, total)
	}
	if slow < float64(deaf)/2 {
		t.Errorf("%.0f of %d were closed: it was no attack", slow, deaf)
	}
	// Garbage may grow to the size of the live heap, and the clients themselves, the ring and the
	// buffers come on top.
	if grown := resident - before; grown > 2*total+16<<20 {
		t.Errorf("the memory has grown by %d bytes, %d may be queued", grown, total)
	}
}
