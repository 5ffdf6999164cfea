package loadgen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// otherServer is a foreign server: it broadcasts the body of each POST in a format of its own.
type otherServer struct {
	*httptest.Server

	// Set under mu before the run
	wrap   func(channel string, message []byte) []byte // into a frame
	binary bool
	byPath bool // the channel is in the path, not in a hello
	deaf   bool // takes no hello
	refuse int  // HTTP status for publishes
	lose   int  // the message to lose for one client, counted from 1

	// Guarded by mu
	mu        sync.Mutex
	clients   map[*gorilla.Conn][]string
	streams   map[chan []byte]string
	hellos    []string
	published int
}

func newOtherServer(t *testing.T) *otherServer {
	s := &otherServer{clients: make(map[*gorilla.Conn][]string), streams: make(map[chan []byte]string),
		wrap: func(_ string, message []byte) []byte { return message }}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.ws)
	mux.HandleFunc("GET /ws/{channel...}", s.ws)
	mux.HandleFunc("GET /events/{channel...}", s.events)
	mux.HandleFunc("POST /publish/{channel...}", s.Publish)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *otherServer) ws(w http.ResponseWriter, r *http.Request) {
	c, err := (&gorilla.Upgrader{}).Upgrade(w, r, http.Header{"Server": {"other/1.0"}})
	if err != nil {
		return
	}
	defer c.Close()
	s.mu.Lock()
	s.clients[c] = nil
	if s.byPath {
		s.clients[c] = []string{r.PathValue("channel")}
	}
	c.WriteMessage(gorilla.TextMessage, []byte(`hello, and {"type":"greeting"}`))
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.clients, c)
		s.mu.Unlock()
	}()
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return
		}
		var m struct{ Join string }
		json.Unmarshal(text, &m)
		// A publish at once is too early: this server takes its time.
		time.Sleep(5 * time.Millisecond)
		s.mu.Lock()
		s.hellos = append(s.hellos, string(text))
		if !s.deaf {
			s.clients[c] = append(s.clients[c], m.Join)
		}
		c.WriteMessage(gorilla.TextMessage, fmt.Appendf(nil, "joined %s", m.Join))
		s.mu.Unlock()
	}
}

func (s *otherServer) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Write([]byte("event: hi\ndata: there\n\n"))
	w.(http.Flusher).Flush()
	queue := make(chan []byte, 1000)
	s.mu.Lock()
	s.streams[queue] = r.PathValue("channel")
	s.mu.Unlock()
	for {
		select {
		case text := <-queue:
			fmt.Fprintf(w, "data: %s\n\n", text)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (s *otherServer) Publish(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	if s.refuse != 0 || err != nil {
		http.Error(w, "no publishing: here", s.refuse)
		return
	}
	channel := r.PathValue("channel")
	frame := s.wrap(channel, message)
	kind := gorilla.TextMessage
	if s.binary {
		kind = gorilla.BinaryMessage
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if seqOf(message) > 0 {
		s.published++
	}
	lose := s.lose > 0 && s.published == s.lose
	for c, channels := range s.clients {
		for _, ch := range channels {
			if ch != channel {
				continue
			}
			if lose {
				lose = false
				continue
			}
			c.WriteMessage(kind, frame)
		}
	}
	for queue, ch := range s.streams {
		if ch == channel {
			queue <- frame
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// seqOf reads a message's number, 0 for a trial message.
func seqOf(message []byte) uint32 {
	run, _, _ := bytes.Cut(message, []byte("."))
	s, _, _ := account.FindForeignStamp(message, string(run[len(run)-len(testRun):]))
	return s.Seq
}

// config returns a run against the server that subscribes by a hello.
func (s *otherServer) config(clients, messages int) plan.Config {
	c := plan.DefaultConfig()
	c.URL = strings.Replace(s.URL, "http", "ws", 1) + "/ws"
	c.Hello = []string{`{"join":"{channel}","by":{client}}`}
	c.PublishURL = s.URL + "/publish/{channel}"
	c.Connections, c.InFlight, c.Messages, c.Rate, c.Size = clients, 10, messages, 2000, 100
	c.Settle, c.Timeout = 50*time.Millisecond, time.Minute
	return c
}

// A message is found whatever a server puts around it.
func TestForeignFanout(t *testing.T) {
	t.Parallel()
	asJSON := func(v any) []byte { b, _ := json.Marshal(v); return b }
	long := strings.Repeat("y", 50_000)
	for name, set := range map[string]func(*otherServer, *plan.Config){
		"bare": func(*otherServer, *plan.Config) {},
		"in JSON": func(s *otherServer, _ *plan.Config) {
			s.wrap = func(ch string, m []byte) []byte {
				return asJSON(map[string]any{"channel": ch, "data": map[string]any{"text": string(m)}})
			}
		},
		"in JSON in JSON": func(s *otherServer, _ *plan.Config) {
			s.wrap = func(_ string, m []byte) []byte {
				return append([]byte("42"), asJSON([]any{"message", string(asJSON(string(asJSON(string(m)))))})...)
			}
		},
		"behind much": func(s *otherServer, _ *plan.Config) {
			s.wrap = func(_ string, m []byte) []byte { return append([]byte(long), m...) }
		},
		"binary": func(s *otherServer, _ *plan.Config) {
			s.binary = true
			s.wrap = func(_ string, m []byte) []byte { return append([]byte{0x82, 0xff, 0, '.'}, m...) }
		},
		"own body": func(_ *otherServer, c *plan.Config) { c.PublishBody = `{"channel":"{channel}","data":"{message}"}` },
		"several hellos": func(_ *otherServer, c *plan.Config) {
			c.Hello = append([]string{"login", "again"}, c.Hello...)
		},
		"rooms of their own":  func(_ *otherServer, c *plan.Config) { c.Channels = "room.%d{3},news/all,user.%i" },
		"one after the other": func(_ *otherServer, c *plan.Config) { c.Rate = 0 },
		"channels by path": func(s *otherServer, c *plan.Config) {
			s.byPath = true
			c.URL, c.Hello, c.Channels = c.URL+"/{channel}", nil, "room/a.%d{3}"
		},
		"event stream": func(s *otherServer, c *plan.Config) {
			c.URL, c.Hello, c.Transport, c.Channels = s.URL+"/events/{channel}", nil, plan.SSE, "room.%d{3}"
		},
		"two processes": func(_ *otherServer, c *plan.Config) { c.Agents = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newOtherServer(t)
			c := s.config(12, 60)
			s.mu.Lock() // the server runs
			set(s, &c)
			s.mu.Unlock()
			r, err := Fanout(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := r.Fanout
			if !r.Good() || f == nil || f.Expected == 0 || f.Missing != 0 || f.Delivered != f.Expected || f.Duplicated != 0 || f.Published != 60 ||
				f.Real.Count != int64(f.Delivered) || r.Counters.Ready != 12 || r.Counters.Damaged+r.Counters.Misdirected+r.Counters.Unknown != 0 {
				t.Fatalf("%+v, %+v, failed %q", f, r.Counters, r.Failed)
			}
			var table bytes.Buffer
			if err := r.WriteTable(&table); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"publish by URL", "not measured of this server", "nor errors, replayed", "it has no metrics"} {
				if !strings.Contains(table.String(), want) {
					t.Errorf("no %q in\n%s", want, table.String())
				}
			}
			if strings.Contains(table.String(), "\n  ready    ") && r.Connect.Ready.Count > 0 {
				t.Errorf("time to be subscribed, which nobody has seen:\n%s", table.String())
			}
			for _, figure := range []string{"ready.p50", "gaps", "errors", "replayed", "heap_per_conn"} {
				if x, _ := result.FindFigure(figure); x.Name == "" {
					t.Errorf("no figure %s", figure)
				} else if v, known := x.Of(r); known {
					t.Errorf("%s is %v, and was not measured", figure, v)
				}
			}
		})
	}
}

// A foreign server's losses are missing as with a gateway.
func TestForeignMissing(t *testing.T) {
	t.Parallel()
	s := newOtherServer(t)
	s.mu.Lock()
	s.lose = 7
	s.mu.Unlock()
	c := s.config(5, 20)
	c.Timeout = 5 * time.Second
	r, err := Fanout(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Fanout; r.Good() || f == nil || f.Missing != 1 || f.Expected != 100 || f.Delivered != 99 {
		t.Errorf("%+v, failed %q", f, r.Failed)
	}
}

// A server that subscribes no client is detected before anything is counted, and so is a place
// that takes no messages.
func TestForeignNobodyHears(t *testing.T) {
	tests := map[string]struct {
		set  func(*otherServer, *plan.Config)
		want string
	}{
		"no subscription": {func(s *otherServer, _ *plan.Config) { s.deaf = true }, "not one of 3 subscriptions got a message that was published for a trial: does --publish-url publish"},
		"refused":         {func(s *otherServer, _ *plan.Config) { s.refuse = 403 }, `publishing for a trial: --publish-url: HTTP 403: "no publishing: here"`},
		"wrong path":      {func(s *otherServer, c *plan.Config) { c.PublishURL = s.URL + "/nowhere" }, "HTTP 404"},
		"wrong command":   {func(_ *otherServer, c *plan.Config) { c.PublishURL, c.PublishCmd = "", "echo no >&2; exit 3" }, "exit status 3; it said:\n  no"},
		"wrong for each":  {func(_ *otherServer, c *plan.Config) { c.PublishURL, c.PublishCmd = "", "echo no {message}; false" }, "exit status 1; it said:\n  no "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOtherServer(t)
			c := s.config(3, 5)
			s.mu.Lock() // the server runs
			tt.set(s, &c)
			s.mu.Unlock()
			r, err := Fanout(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(r.Failed, "\n"); r.Fanout != nil || !strings.Contains(text, tt.want) {
				t.Errorf("%+v: %q, want %q", r.Fanout, text, tt.want)
			}
		})
	}
}

// Clients that were cut subscribe again.
func TestForeignStorm(t *testing.T) {
	t.Parallel()
	s := newOtherServer(t)
	c := s.config(20, 1)
	c.Rate, c.Share, c.Before, c.After = 100, 0.5, 100*time.Millisecond, 300*time.Millisecond
	r, err := RunStorm(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	hellos := len(s.hellos)
	s.mu.Unlock()
	if !r.Good() || r.Storm.Returned != 10 || hellos != 30 || r.Fanout.Missing != r.Fanout.MissingMoved || r.Proxy != "" {
		t.Errorf("%+v, %d hellos, failed %q, warnings %q", r.Storm, hellos, r.Failed, r.Warnings)
	}
}

// Clients that don't read, or connect and leave, are not waited for: nobody knows which
// messages they get.
func TestForeignMixed(t *testing.T) {
	t.Parallel()
	s := newOtherServer(t)
	c := s.config(20, 1)
	c.Channels, c.Rate, c.Duration = "user.%i", 100, 300*time.Millisecond
	c.SlowShare, c.Share, c.ChurnRate = 0.2, 0.2, 20
	r, err := RunMixed(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(r.Warnings, "\n"); !r.Good() || r.Fanout == nil || r.Fanout.Delivered == 0 || strings.Contains(text, "for a trial") {
		t.Errorf("%+v, failed %q, warnings %q", r.Fanout, r.Failed, r.Warnings)
	}
}

// Held clients need no publisher.
func TestForeignIdle(t *testing.T) {
	s := newOtherServer(t)
	c := plan.DefaultConfig()
	c.URL, c.Foreign, c.Connections, c.Hold = s.URL+"/ws", true, 5, 100*time.Millisecond
	r, err := Idle(t.Context(), c, Options{})
	if err != nil || !r.Good() || r.Counters.Ready != 5 || r.Counters.Other != 5 || len(r.NotMeasured) == 0 {
		t.Errorf("%v: %+v, failed %q", err, r.Counters, r.Failed)
	}
}

// A server that is no gateway says so at once, or at least when the time is up.
func TestForeignIsTold(t *testing.T) {
	t.Parallel()
	s := newOtherServer(t)
	c := plan.DefaultConfig()
	c.URL, c.Connections = s.URL+"/ws", 3
	began := time.Now()
	r, err := Idle(t.Context(), c, Options{})
	if text := strings.Join(r.Failed, "\n"); err != nil || r.Failures[account.ReasonForeign] != 3 || !strings.Contains(text, "--foreign has it measured all the same") || time.Since(began) > c.Timeout {
		t.Errorf("%v: %v, %s", err, r.Failures, text)
	}
	c.URL, c.Timeout = "http://"+answering(t, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: YU3Fe9MMZmAkyPFY8SqqGXtI948=\r\n\r\n"), 2*time.Second
	r, err = Idle(t.Context(), c, Options{})
	if text := strings.Join(r.Failed, "\n"); err != nil || r.Failures[account.ReasonWelcome] != 3 || !strings.Contains(text, "--foreign has it measured all the same") {
		t.Errorf("%v: %v, %s", err, r.Failures, text)
	}
}

func TestForeignRefused(t *testing.T) {
	tests := map[string]struct {
		set  func(*plan.Config)
		want string
	}{
		"poll":           {func(c *plan.Config) { c.Foreign, c.Transport = true, "ws:1,poll:1" }, "long-poll is a gateway's own"},
		"hello over sse": {func(c *plan.Config) { c.Hello, c.Transport = []string{"x"}, plan.SSE }, "an event stream has no way to say it"},
		"durable":        {func(c *plan.Config) { c.Foreign, c.Durable = true, true }, "--durable: is for a gateway"},
		"resume":         {func(c *plan.Config) { c.Foreign, c.Resume = true, true }, "--resume: is for a gateway"},
		"metrics":        {func(c *plan.Config) { c.Foreign, c.Admin = true, "127.0.0.1:1" }, "--admin: is for a gateway"},
		"both":           {func(c *plan.Config) { c.PublishURL, c.PublishCmd = "http://127.0.0.1/", "cat" }, "leave out one of the two"},
		"two in a URL":   {func(c *plan.Config) { c.URL, c.Channels = "ws://127.0.0.1/{channel}", "a,b" }, "the one channel of a client"},
		"not told":       {func(c *plan.Config) { c.Hello, c.Channels = []string{"x"}, "a.%d{2}" }, "how would the server know?"},
		"not published": {func(c *plan.Config) {
			c.Hello, c.Channels, c.PublishURL = []string{"{channel}"}, "a,b", "http://127.0.0.1/"
		}, "several channels: want {channel}"},
		"body":       {func(c *plan.Config) { c.PublishURL, c.PublishBody = "http://127.0.0.1/", "{}" }, "want {message}"},
		"body alone": {func(c *plan.Config) { c.PublishBody = "{message}" }, "go with --publish-url"},
		"no URL":     {func(c *plan.Config) { c.PublishURL = "127.0.0.1:80" }, "want a URL such as http://127.0.0.1:8080/publish/{channel}"},
		"header":     {func(c *plan.Config) { c.PublishURL, c.PublishHeaders = "http://127.0.0.1/", []string{"a b: c"} }, "want 'Name: value'"},
		"command":    {func(c *plan.Config) { c.PublishCmd = "pub {channel}" }, "{channel} goes with {message}"},
		"shell":      {func(c *plan.Config) { c.PublishCmd, c.Channels = "pub {channel} {message}", "a$b" }, "so no $, ~, # and !"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := plan.DefaultConfig()
			tt.set(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	c := plan.DefaultConfig()
	c.PublishURL = "http://192.0.2.1/"
	if _, err := publish.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "192.0.2.1 is not on this host; --allow-remote") {
		t.Errorf("error %v", err)
	}
}
