package attacks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// good is a set of clients that read every message: WebSockets, event streams and polls, each
// with a channel of its own that gets numbered messages.
type good struct {
	t     testing.TB
	g     *gateway
	name  string // prefix of their channels
	begin time.Time
	conns []net.Conn
	all   sync.WaitGroup

	mu    sync.Mutex
	got   []int     // by client; guarded by mu
	times [2]delays // of streams, and of polls; guarded by mu
	first error     // of a client; guarded by mu
	ended bool      // later failures are no fault; guarded by mu
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
	o := &good{t: t, g: g, name: name, begin: time.Now(), got: make([]int, n)}
	for i := range n {
		c, err := net.Dial("tcp", g.Public)
		if err != nil {
			t.Fatal(err)
		}
		o.conns = append(o.conns, c)
		o.all.Go(func() {
			var err error
			switch {
			case isPoll(i):
				err = o.polls(i, c)
			case i%5 < 2:
				err = o.websocket(i, c)
			default:
				err = o.events(i, c)
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			if !o.ended && o.first == nil {
				o.first = fmt.Errorf("good client %d: %w", i, err)
			}
		})
	}
	return o
}

// close ends them all.
func (o *good) close() {
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	closeAll(o.conns)
	o.all.Wait()
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

// event is a message to a client.
type event struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

func (o *good) object(i int, text []byte) error {
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("%w: %.100s", err, text)
	}
	switch e.Type {
	case "message":
		return o.take(i, e.Data)
	case "welcome", "subscribed":
		return nil
	}
	return fmt.Errorf("was sent %.200s", text)
}

func (o *good) websocket(i int, c net.Conn) error {
	if _, err := io.WriteString(c, upgrade(fmt.Sprintf("/v1/ws?channels=%s.%d", o.name, i))); err != nil {
		return err
	}
	r, err := welcomed(c)
	if err != nil {
		return err
	}
	c.SetReadDeadline(time.Time{})
	for {
		op, b, err := frame(r)
		if err == nil && op == ws.OpPing {
			_, err = c.Write(wsframe.AppendMasked(nil, ws.OpPong, b, [4]byte{1, 2, 3, 4}))
			b = nil
		}
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		if err := o.object(i, b); err != nil {
			return err
		}
	}
}

func (o *good) events(i int, c net.Conn) error {
	if _, err := io.WriteString(c, get(fmt.Sprintf("/v1/sse?channels=%s.%d", o.name, i))); err != nil {
		return err
	}
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		if data, ok := strings.CutPrefix(line, "data: {"); ok && strings.Contains(data, `"message"`) {
			if err := o.object(i, []byte("{"+data)); err != nil {
				return err
			}
		}
	}
}

func (o *good) polls(i int, c net.Conn) error {
	r := bufio.NewReader(c)
	cursor := ""
	for {
		if _, err := io.WriteString(c, get(fmt.Sprintf("/v1/poll?wait=20&channels=%s.%d&cursor=%s", o.name, i, cursor))); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		var a struct {
			Messages []event `json:"messages"`
			Cursor   string  `json:"cursor"`
		}
		err = json.NewDecoder(resp.Body).Decode(&a)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			return fmt.Errorf("a poll got %s: %v", resp.Status, err)
		}
		for _, m := range a.Messages {
			if err := o.take(i, m.Data); err != nil {
				return err
			}
		}
		cursor = a.Cursor
	}
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
