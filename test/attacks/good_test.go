package attacks

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// good is a set of clients that read every message: WebSockets, event streams and polls, each
// with a channel of its own that gets numbered messages.
type good struct {
	t     testing.TB
	g     *gateway
	name  string // prefix of their channels
	begin time.Time
	http  *http.Client
	end   context.CancelFunc
	all   sync.WaitGroup

	mu    sync.Mutex
	got   []int     // by client; guarded by mu
	times [2]delays // of streams, and of polls; guarded by mu
	first error     // of a client; guarded by mu
}

// delays are the times from publish to read.
type delays []time.Duration

// of returns a percentile of the delays.
func (d delays) of(hundredths int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[(len(d)-1)*hundredths/100]
}

func (d delays) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, at worst %.1f ms", ms(d.of(50)), ms(d.of(99)), ms(d.of(100)))
}

// isPoll reports whether client i is a poll.
func isPoll(i int) bool { return i%5 == 4 }

// payload is a message of a good client.
type payload struct {
	N  int           `json:"n"`
	At time.Duration `json:"at"` // since begin
}

// goodClients has n clients connect, subscribe to a channel of that name each and
// read until close.
func goodClients(t testing.TB, g *gateway, name string, n int) *good {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	o := &good{t: t, g: g, name: name, begin: time.Now(), end: end, got: make([]int, n),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}}
	for i := range n {
		o.all.Go(func() {
			err := o.client(ctx, i)
			o.mu.Lock()
			defer o.mu.Unlock()
			if ctx.Err() == nil && o.first == nil {
				o.first = fmt.Errorf("good client %d: %w", i, err)
			}
		})
	}
	return o
}

// client runs client i until it fails or ctx ends.
func (o *good) client(ctx context.Context, i int) error {
	c := &gatewaytest.Client{Base: "http://" + o.g.Public, Channels: []string{fmt.Sprintf("%s.%d", o.name, i)}, HTTP: o.http, Wait: 20,
		Take: func(m gatewaytest.Message) error {
			switch m.Type {
			case "message":
				return o.take(i, m.Data)
			case "welcome", "subscribed":
				return nil
			}
			return fmt.Errorf("was sent %+v", m)
		}}
	switch {
	case i%5 < 2:
		return c.WebSocket(ctx)
	case !isPoll(i):
		return c.Events(ctx)
	}
	for {
		if err := c.Poll(ctx); err != nil {
			return err
		}
	}
}

// close ends them all.
func (o *good) close() {
	o.end()
	o.all.Wait()
	o.http.CloseIdleConnections()
}

// take notes a client's next message.
func (o *good) take(i int, data json.RawMessage) error {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("%w: %s", err, data)
	}
	took := time.Since(o.begin) - p.At
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.N != o.got[i] {
		return fmt.Errorf("message %d in place of %d", p.N, o.got[i])
	}
	o.got[i]++
	kind := 0
	if isPoll(i) {
		kind = 1
	}
	o.times[kind] = append(o.times[kind], took)
	return nil
}

// publish publishes a message to each client in turn, so many in all a second, for a time,
// waits until all have arrived and returns the delays of streams and of polls.
func (o *good) publish(perSecond int, during time.Duration) [2]delays {
	o.t.Helper()
	n := len(o.got)
	o.mu.Lock()
	o.times = [2]delays{}
	before := o.got[0] // messages that each client has got so far
	o.mu.Unlock()
	begin := time.Now()
	total := int(during.Seconds()*float64(perSecond)) / n * n
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < total; <-tick.C {
		for due := min(total, int(time.Since(begin).Seconds()*float64(perSecond))+1); sent < due; sent++ {
			text, err := json.Marshal(payload{before + sent/n, time.Since(o.begin)})
			if err != nil {
				o.t.Fatal(err)
			}
			o.g.Redis.Publish(fmt.Sprintf("%s.%d", o.name, sent%n), text)
		}
	}
	eventually(o.t, "the good clients have all", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.first != nil || !slices.ContainsFunc(o.got, func(got int) bool { return got < before+total/n })
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first != nil {
		o.t.Error(o.first)
	}
	return o.times
}
