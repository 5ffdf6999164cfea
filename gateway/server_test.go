package gateway_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	dialByDefault()
	if redis := os.Getenv(fewFilesEnv); redis != "" {
		if err := serveFewFiles(redis); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if target := os.Getenv(targetEnv); target != "" {
		if err := serveTarget(target); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if crowd := os.Getenv(crowdEnv); crowd != "" {
		if err := serveCrowd(crowd); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for a condition.
const patience = time.Minute

func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	gatewaytest.Eventually(t, what, fn)
}

// instance is a running gateway with its Redis.
type instance struct {
	*gateway.Server
	t      testing.TB
	redis  *redistest.Server
	broker *fanout.Broker
	node   string // its name among the others
	log    *lockedLog
	stop   func()     // begins the drain
	halt   func()     // ends it and its broker
	ended  chan error // Run's result, sent once
}

var nodes atomic.Int64

// start runs a gateway on real sockets and a real Redis until the test ends.
func start(t testing.TB, change func(*gateway.Config)) *instance {
	t.Helper()
	return startOn(t, redistest.Start(t), change)
}

func startOn(t testing.TB, redis *redistest.Server, change func(*gateway.Config)) *instance {
	t.Helper()
	return startWith(t, redis, change, nil)
}

// startLogged runs one that logs at a lower level than warn.
func startLogged(t testing.TB, level slog.Level, change func(*gateway.Config)) *instance {
	t.Helper()
	return startAt(t, level, redistest.Start(t), change, nil)
}

// startWith is startOn with a broker of its own making too.
func startWith(t testing.TB, redis *redistest.Server, change func(*gateway.Config), changeBroker func(*fanout.Config)) *instance {
	t.Helper()
	return startAt(t, slog.LevelWarn, redis, change, changeBroker)
}

func startAt(t testing.TB, level slog.Level, redis *redistest.Server, change func(*gateway.Config), changeBroker func(*fanout.Config)) *instance {
	t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Shards = 2
	cfg.Drain.Timeout = 0
	cfg.Socket.IOUring = *gateway.IOUringOfTests
	withoutRates(&cfg)
	if change != nil {
		change(&cfg)
	}
	gateway.Secured(&cfg)
	cfg.Redis.URL = redis.URL()
	if changeBroker != nil {
		changeBroker(&cfg.Redis)
	}
	in := &instance{t: t, redis: redis, node: fmt.Sprintf("test%d", nodes.Add(1)), log: &lockedLog{t: t}, ended: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(in.log, &slog.HandlerOptions{Level: level}))
	srv, err := gateway.New(cfg, gateway.Options{Log: log, Node: in.node})
	if err != nil {
		t.Fatal(err)
	}
	in.Server, in.broker = srv, srv.Broker()
	listensAt(t, srv.TLSAddr())
	ctx, stop := context.WithCancel(context.Background())
	in.stop = stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := srv.Run(ctx)
		if err != nil {
			t.Errorf("the gateway failed: %v", err)
		}
		in.ended <- err
	}()
	in.halt = func() {
		stop()
		<-done
	}
	t.Cleanup(in.halt)
	return in
}

// Addr returns the address of the public listener.
func (in *instance) Addr() string { return cmp.Or(in.Server.Addr(), in.TLSAddr()) }

// withoutRates lets clients send as fast as a test does.
func withoutRates(c *gateway.Config) {
	c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = 0, 0
	c.Limits.PublishesPerSecond, c.Limits.PublishesBurst = 0, 0
	c.Limits.NewChannelsPerSecond = 0
}

// withDefaultRates bounds them as a gateway does by default.
func withDefaultRates(c *gateway.Config) {
	l := gateway.DefaultConfig().Limits
	c.Limits.MessagesPerSecond, c.Limits.MessagesBurst = l.MessagesPerSecond, l.MessagesBurst
	c.Limits.PublishesPerSecond, c.Limits.PublishesBurst = l.PublishesPerSecond, l.PublishesBurst
	c.Limits.NewChannelsPerSecond = l.NewChannelsPerSecond
}

// lockedLog keeps a gateway's log, and copies it to the test's.
type lockedLog struct {
	t testing.TB

	// Guarded by mu
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// hold returns when all loops stand still. They do until release is called, or the
// test ends.
func (in *instance) hold() (release func()) {
	release = in.HoldLoops()
	in.t.Cleanup(release)
	return release
}

func (in *instance) ready() *instance {
	in.t.Helper()
	eventually(in.t, "the gateway is ready", func() bool { return in.Ready() == nil })
	return in
}

// metric returns the value of one series, with its labels as in
// `gateway_closes_total{reason="drain"}`; 0 when it isn't there.
func (in *instance) metric(series string) float64 {
	in.t.Helper()
	return gatewaytest.Metric(in.t, in.AdminAddr(), series)
}

// totals are the gateway's metrics.
type totals struct {
	accepts, deliveries, bytesIn, bytesOut, pings, batched uint64
	closes                                                 map[reasons.Close]uint64
	rejects                                                map[reasons.Reject]uint64
	drops                                                  map[reasons.Drop]uint64
	clients                                                map[string]int // by transport
	connections, subscriptions, channels, queues           int
	queueBytes                                             int64
}

// totals returns them.
func (in *instance) totals() totals {
	in.t.Helper()
	figures, err := in.Figures()
	// A busy machine is no stalled loop.
	for end := time.Now().Add(patience); err != nil; figures, err = in.Figures() {
		if time.Now().After(end) {
			in.t.Fatal(err)
		}
	}
	count := func(name string) uint64 { return uint64(figures["gateway_"+name]) }
	gauge := func(name string) int { return int(figures["gateway_"+name]) }
	return totals{
		accepts: count("accepts_total"), deliveries: count("deliveries_total"), pings: count("pings_total"),
		bytesIn: count("client_received_bytes_total"), bytesOut: count("client_sent_bytes_total"), batched: count("batched_sends_total"),
		closes:  labelled[reasons.Close, uint64](figures, "closes_total"),
		rejects: labelled[reasons.Reject, uint64](figures, "rejects_total"),
		drops:   labelled[reasons.Drop, uint64](figures, "dropped_messages_total"),
		clients: labelled[string, int](figures, "clients"),

		connections: gauge("connections"), subscriptions: gauge("subscriptions"), channels: gauge("channels"), queues: gauge("queues"),
		queueBytes: int64(gauge("queue_bytes")),
	}
}

// labelled returns the values of a metric by its only label.
func labelled[K ~string, V uint64 | int](figures map[string]float64, name string) map[K]V {
	values := make(map[K]V)
	for series, v := range figures {
		if rest, ok := strings.CutPrefix(series, "gateway_"+name+"{"); ok {
			_, label, _ := strings.Cut(strings.TrimSuffix(rest, `"}`), `="`)
			values[K(label)] = V(v)
		}
	}
	return values
}

func (in *instance) get(url string) (int, string) {
	in.t.Helper()
	return gatewaytest.Get(in.t, url)
}

// client is a WebSocket client.
type client struct {
	*websocket.Conn
	t testing.TB
}

// dial connects to a path such as /v1/ws?channels=a.
func (in *instance) dial(path string) *client {
	in.t.Helper()
	c, r, err := websocket.DefaultDialer.Dial("ws://"+in.Addr()+path, nil)
	if err != nil {
		if r != nil {
			body, _ := io.ReadAll(r.Body)
			in.t.Fatalf("dial %s: %v: %s %s", path, err, r.Status, body)
		}
		in.t.Fatalf("dial %s: %v", path, err)
	}
	in.t.Cleanup(func() { c.Close() })
	return &client{Conn: c, t: in.t}
}

// event is any message of the gateway.
type event struct {
	Type             string          `json:"type"`
	Channel          string          `json:"channel"`
	ID               string          `json:"id"`
	User             *string         `json:"user"`
	Data             json.RawMessage `json:"data"`
	DataBase64       string          `json:"data_base64"`
	Since            string          `json:"since"`
	Reason           string          `json:"reason"`
	Code             string          `json:"code"`
	Message          string          `json:"message"`
	Ref              json.RawMessage `json:"ref"`
	Connection       string          `json:"connection"`
	Heartbeat        float64         `json:"heartbeat"`
	MaxMessage       int             `json:"max_message"`
	ReconnectAfterMS int64           `json:"reconnect_after_ms"`
}

// next returns the next message.
func (c *client) next() event {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	_, text, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("no message: %v", err)
	}
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		c.t.Fatalf("not JSON: %s", text)
	}
	return e
}

// expect returns the next message, which must be of a type.
func (c *client) expect(kind string) event {
	c.t.Helper()
	e := c.next()
	if e.Type != kind {
		c.t.Fatalf("got %+v, want a %s", e, kind)
	}
	return e
}

// closed returns the code that the gateway closes with; messages before it are
// dropped.
func (c *client) closed() int {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		_, _, err := c.ReadMessage()
		var ce *websocket.CloseError
		switch {
		case errors.As(err, &ce):
			return ce.Code
		case err != nil:
			c.t.Fatalf("no close frame: %v", err)
		}
	}
}

func (c *client) write(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// subscribed connects and waits until the channels are live.
func (in *instance) subscribed(channels ...string) *client {
	in.t.Helper()
	c := in.dial("/v1/ws?channels=" + strings.Join(channels, ","))
	c.expect("welcome")
	for range channels {
		c.expect("subscribed")
	}
	return c
}

// raw opens a TCP connection and writes bytes to it.
func (in *instance) raw(bytes string) net.Conn {
	in.t.Helper()
	c, err := dialer.Dial("tcp", in.Addr())
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, bytes); err != nil {
		in.t.Fatal(err)
	}
	return c
}

// answerOf reads one response and then waits for the end of the stream.
func answerOf(t testing.TB, c net.Conn) (status int, body string) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

const upgradeHead = "GET /v1/ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
