package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/loadgen/agent"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// fault is the scripted server's treatment of one message for one subscriber.
type fault uint8

const (
	deliver  fault = iota
	drop           // never sent
	double         // sent twice
	holdBack       // sent after the next one
	cutOff         // the connection ends without a close
	closeOff       // the connection ends with a close frame, 4002
	byeOff         // the connection ends with a goodbye and without a close
)

// scripted is a gateway that does everything wrong in known amounts. It is
// also the publisher that the run publishes through.
type scripted struct {
	*httptest.Server

	// Set before the run
	faults   func(subscriber, n int) fault      // n counts a subscriber's messages from 1
	stall    func(n int) time.Duration          // before the n-th message goes out, from 1
	onlyAck  int                                // confirm no more than this many channels of a client; -1: all
	refuse   func(client int) int               // HTTP status for the client, 0 to serve it
	secure   bool                               // speak TLS
	dribble  bool                               // one byte a write, in fragments with a ping between
	chunkSSE bool                               // the event stream in the chunked coding
	rewind   int                                // replay so many messages from before the position
	badToken bool                               // close WebSockets with 4001
	unheard  bool                               // report no subscribers
	mishap   func(n int) (publish.Result, bool) // of the n-th message, from 1; true: it gets lost
	patience time.Duration                      // cut a WebSocket client that takes no message for so long; 0: wait

	sent int // owned by the publishing goroutine

	// publish sends, the goroutine of dispatch receives, stop closes
	queue chan publish.Message
	done  chan struct{}

	// Guarded by mu
	mu      sync.Mutex
	changed *sync.Cond // a message was logged or the server stops
	stopped bool
	clients int
	putOff  int // ask so many clients by a stream that ends, or close code 1013, to retry later
	subs    []*subscriber
	log     []publish.Message // for poll
	pongs   int
	resumed int // subscriptions with a position
	present int // WebSocket connections
}

// subscriber is one subscription of one connection.
type subscriber struct {
	channel string
	send    func(p []byte)
	end     func(polite bool)
	n       int
	held    []byte
	gone    bool
}

func newScripted() *scripted {
	s := &scripted{onlyAck: -1, chunkSSE: true, queue: make(chan publish.Message, 10000), done: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ws", s.ws)
	mux.HandleFunc("GET /v1/sse", s.sse)
	mux.HandleFunc("GET /v1/poll", s.poll)
	s.Server = httptest.NewUnstartedServer(mux)
	return s
}

func (s *scripted) stop() {
	close(s.queue)
	<-s.done
	s.mu.Lock()
	s.stopped = true
	s.changed.Broadcast()
	s.mu.Unlock()
	s.CloseClientConnections()
	s.Server.Close()
}

func (s *scripted) Close() error { return nil }
func (s *scripted) Via() string  { return "Redis" }

func (s *scripted) Publish(_ context.Context, batch []publish.Message) (results []publish.Result, err error) {
	for _, m := range batch {
		m.Payload = append([]byte(nil), m.Payload...)
		f, lost := publish.Taken, false
		if s.unheard {
			f = publish.Unheard
		}
		if s.mishap != nil {
			s.sent++
			if f, lost = s.mishap(s.sent); f != publish.Taken {
				err = errors.New("redis: mishap")
			}
		}
		if results = append(results, f); !lost {
			s.queue <- m
		}
	}
	return results, err
}

// dispatch delivers in the order of publishing.
func (s *scripted) dispatch() {
	defer close(s.done)
	n := 0
	for m := range s.queue {
		n++
		if s.stall != nil {
			time.Sleep(s.stall(n))
		}
		s.mu.Lock()
		s.log = append(s.log, m)
		s.changed.Broadcast()
		text := envelope(m, n)
		for i, sub := range s.subs {
			if sub.channel == m.Channel && !sub.gone {
				s.deliver(sub, i, text)
			}
		}
		s.mu.Unlock()
	}
}

func envelope(m publish.Message, n int) []byte {
	return fmt.Appendf(nil, `{"type":"message","channel":%q,"id":"~n-%d","user":"a \"user\"","data":%s}`, m.Channel, n, m.Payload)
}

// deliver plays the script for one message and one subscriber, under mu.
func (s *scripted) deliver(sub *subscriber, index int, text []byte) {
	sub.n++
	what := deliver
	if s.faults != nil {
		what = s.faults(index, sub.n)
	}
	held := sub.held
	sub.held = nil
	switch what {
	case drop:
	case double:
		sub.send(text)
		sub.send(text)
	case holdBack:
		sub.held = text
	case cutOff, closeOff, byeOff:
		if sub.gone = true; what == byeOff {
			sub.send([]byte(`{"type":"bye","reason":"drain"}`))
		}
		sub.end(what == closeOff)
		return
	default:
		sub.send(text)
	}
	if held != nil {
		sub.send(held)
	}
}

// admit counts a client and refuses it if the script says so.
func (s *scripted) admit(w http.ResponseWriter) bool {
	s.mu.Lock()
	client := s.clients
	s.clients++
	s.mu.Unlock()
	if s.refuse != nil {
		if status := s.refuse(client); status != 0 {
			w.Header().Set("Connection", "close")
			w.WriteHeader(status)
			return false
		}
	}
	return true
}

// putsOff reports whether a client is to retry later.
func (s *scripted) putsOff() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putOff--
	return s.putOff >= 0
}

// subscribe confirms and registers a connection's channels.
func (s *scripted) subscribe(list string, send func([]byte), end func(bool)) (own []*subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	send([]byte(`{"type":"welcome","connection":"c","heartbeat":25,"max_message":65536}`))
	if list == "" {
		return nil
	}
	for i, ch := range strings.Split(list, ",") {
		own = append(own, &subscriber{channel: ch, send: send, end: end})
		if s.onlyAck < 0 || i < s.onlyAck {
			send(fmt.Appendf(nil, `{"type":"subscribed","channel":%q,"id":"~n-%d"}`, ch, len(s.log)))
		}
	}
	s.subs = append(s.subs, own...)
	return own
}

// resume subscribes one channel and sends the messages after a position.
func (s *scripted) resume(channel, since string, send func([]byte), end func(bool)) *subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	send(fmt.Appendf(nil, `{"type":"subscribed","channel":%q,"id":"~n-%d"}`, channel, len(s.log)))
	s.replay(channel, since, send)
	sub := &subscriber{channel: channel, send: send, end: end}
	s.subs = append(s.subs, sub)
	return sub
}

// replay sends the messages of a channel after a position, under mu.
func (s *scripted) replay(channel, since string, send func([]byte)) {
	from, err := strconv.Atoi(strings.TrimPrefix(since, "~n-"))
	if err != nil {
		return
	}
	s.resumed++
	for i := max(from-s.rewind, 0); i < len(s.log); i++ {
		if s.log[i].Channel == channel {
			send(envelope(s.log[i], i+1))
		}
	}
}

func (s *scripted) ws(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w) {
		return
	}
	up := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	if s.putsOff() {
		c.WriteMessage(gorilla.TextMessage, []byte(`{"type":"bye","reason":"overload","reconnect_after_ms":20}`))
		c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(1013, "overload"), time.Now().Add(time.Second))
		c.ReadMessage()
		return
	}
	c.SetPongHandler(func(text string) error {
		if text == "beat" {
			s.mu.Lock()
			s.pongs++
			s.mu.Unlock()
		}
		return nil
	})
	send := func(p []byte) { c.WriteMessage(gorilla.TextMessage, p) }
	if s.dribble {
		send = func(p []byte) { dribble(c.UnderlyingConn(), p) }
	}
	if s.patience > 0 {
		raw := c.UnderlyingConn().(*net.TCPConn)
		raw.SetWriteBuffer(4096)
		send = func(p []byte) {
			c.SetWriteDeadline(time.Now().Add(s.patience))
			if c.WriteMessage(gorilla.TextMessage, p) != nil {
				c.Close()
			}
		}
	}
	if s.badToken {
		c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4001, "token"), time.Now().Add(time.Second))
		c.ReadMessage()
		return
	}
	s.subscribe(r.URL.Query().Get("channels"), send, func(polite bool) {
		if polite {
			c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4002, "slow"), time.Now().Add(time.Second))
			return
		}
		c.Close()
	})
	s.mu.Lock()
	s.present++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.present--
		s.mu.Unlock()
	}()
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return
		}
		var m struct{ Type, Channel, Since string }
		json.Unmarshal(text, &m)
		if m.Type == "subscribe" {
			s.resume(m.Channel, m.Since, send, func(bool) { c.Close() })
		}
	}
}

// dribble writes a message as two fragments with a ping between, byte by byte.
func dribble(c net.Conn, p []byte) {
	half := len(p) / 2
	frame := append([]byte{0x01, 126, byte(half >> 8), byte(half)}, p[:half]...)
	frame = append(frame, 0x89, 4, 'b', 'e', 'a', 't')
	rest := len(p) - half
	frame = append(append(frame, 0x80, 126, byte(rest>>8), byte(rest)), p[half:]...)
	if half < 126 {
		frame = append([]byte{0x01, byte(half)}, p[:half]...)
		frame = append(frame, 0x89, 4, 'b', 'e', 'a', 't')
		frame = append(append(frame, 0x80, byte(rest)), p[half:]...)
	}
	for i := range frame {
		if _, err := c.Write(frame[i : i+1]); err != nil {
			return
		}
	}
}

func (s *scripted) sse(w http.ResponseWriter, r *http.Request) {
	if !s.admit(w) {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var write func([]byte)
	if s.chunkSSE {
		w.Header().Set("Content-Type", "text/event-stream")
		flush := w.(http.Flusher)
		write = func(p []byte) { w.Write(p); flush.Flush() }
	} else {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"))
		write = func(p []byte) { c.Write(p) }
		go func() {
			c.Read(make([]byte, 1))
			cancel()
		}()
	}
	if s.putsOff() {
		write([]byte("retry: 20\n\nevent: bye\ndata: {\"type\":\"bye\",\"reason\":\"overload\"}\n\n"))
		return
	}
	write([]byte("retry: 1000\n\n:beat\n\n"))
	send := func(p []byte) {
		var m struct{ Type, ID string }
		json.Unmarshal(p, &m)
		if m.Type == "welcome" {
			return
		}
		text := fmt.Appendf(nil, "id: %s\nevent: %s\ndata: %s\n\n", m.ID, m.Type, p)
		write(text[:len(text)/2])
		write(text[len(text)/2:])
	}
	var own []*subscriber
	channels, cut := r.URL.Query().Get("channels"), func(bool) { cancel() }
	if since := r.Header.Get("Last-Event-ID"); since != "" {
		for ch := range strings.SplitSeq(channels, ",") {
			own = append(own, s.resume(ch, since, send, cut))
		}
	} else {
		own = s.subscribe(channels, send, cut)
	}
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range own {
		sub.gone = true // nothing may be written once this returns
	}
}

// poll serves from the log: the cursor is the number of messages before it.
func (s *scripted) poll(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("cursor") == "" && !s.admit(w) {
		return
	}
	wait, _ := strconv.Atoi(q.Get("wait"))
	timer := time.AfterFunc(time.Duration(wait)*time.Second, s.changed.Broadcast)
	defer timer.Stop()
	defer context.AfterFunc(r.Context(), s.changed.Broadcast)()
	deadline := time.Now().Add(time.Duration(wait) * time.Second)
	channels := "," + q.Get("channels") + ","

	s.mu.Lock()
	defer s.mu.Unlock()
	from, err := strconv.Atoi(strings.TrimPrefix(q.Get("cursor"), "c+"))
	if err != nil {
		from = len(s.log)
	}
	for {
		var found []string
		for i := from; i < len(s.log); i++ {
			m := s.log[i]
			if !strings.Contains(channels, ","+m.Channel+",") {
				continue
			}
			what := deliver
			if s.faults != nil {
				what = s.faults(0, i+1)
			}
			for range map[fault]int{deliver: 1, double: 2}[what] {
				found = append(found, string(envelope(m, i)))
			}
		}
		cursor := fmt.Sprintf("c+%d", len(s.log))
		switch {
		case len(found) > 0:
			fmt.Fprintf(w, `{"cursor":%q,"messages":[%s],"gaps":[],"more":false}`, cursor, strings.Join(found, ","))
			return
		case s.stopped || r.Context().Err() != nil || !time.Now().Before(deadline):
			w.Header().Set("Poll-Cursor", cursor)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		from = len(s.log)
		s.changed.Wait()
	}
}

// start starts the server, which nothing may be set of any more, and returns
// a Config for a run against it.
func (s *scripted) start(t *testing.T, clients, messages int) plan.Config {
	if s.secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	go s.dispatch()
	t.Cleanup(s.stop)
	c := plan.DefaultConfig()
	c.URL = s.URL
	c.Connections, c.InFlight = clients, 10
	c.Messages, c.Rate = messages, 2000
	c.Timeout = 3 * time.Second
	c.Hold = 100 * time.Millisecond
	c.Settle = 50 * time.Millisecond
	return c
}

// mustFanout runs fanout and returns its result.
func mustFanout(t *testing.T, s *scripted, c plan.Config) *result.Result {
	t.Helper()
	r, err := fanout.with(t.Context(), c, Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	if r.Fanout == nil {
		t.Fatalf("nothing was published: %q", r.Failed)
	}
	return r
}

// serverVariable names the address at which the test binary is a gateway
// instead, for scenarios that restart one.
const serverVariable = "LOADGEN_TEST_SERVER"

// secureVariable has that gateway speak TLS.
const secureVariable = "LOADGEN_TEST_SECURE"

// skewVariable is how far an agent's clock is ahead.
const skewVariable = "LOADGEN_TEST_SKEW"

func TestMain(m *testing.M) {
	if addr := os.Getenv(serverVariable); addr != "" {
		os.Exit(serve(addr))
	}
	// As a process that holds clients for --agents and --agent.
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		skew, _ := time.ParseDuration(os.Getenv(skewVariable))
		if err := agent.Serve(context.Background(), os.Stdin, os.Stdout, skew); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const testRun = "1f2e3d4c"

func mustSLOs(t *testing.T, texts ...string) []result.SLO {
	t.Helper()
	slos, err := result.ParseSLOs(texts)
	if err != nil {
		t.Fatal(err)
	}
	return slos
}

// keyFile writes a file for --jwt-key.
func keyFile(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// serve runs the scripted server until SIGTERM.
func serve(addr string) int {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := newScripted()
	s.Listener.Close()
	s.Listener = ln
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	if os.Getenv(secureVariable) != "" {
		s.StartTLS()
	} else {
		s.Start()
	}
	go s.dispatch()
	<-ended
	s.stop()
	return 0
}
