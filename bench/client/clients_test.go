package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConnSize keeps the clients small beside the server.
func TestConnSize(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 16 {
		t.Errorf("a connection takes %d bytes, want at most 16", size)
	}
}

// begin connects clients to a handler.
func begin(t *testing.T, o Options, handler http.HandlerFunc) *Clients {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	if o.TLS != nil {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	o.Remote = netip.MustParseAddrPort(server.Listener.Addr().String())
	o.InFlight = 2
	o.Request = Same(WebSocketRequest("/", o.Remote))
	if o.Events {
		o.Request = Same(EventsRequest("/", o.Remote))
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.Do(func() { c.DialUpTo(o.Clients) })
	return c
}

func wait(t *testing.T, c *Clients, what string, holds func() bool) {
	t.Helper()
	if _, err := c.Wait(t.Context(), what, holds); err != nil {
		t.Fatal(err)
	}
}

// do runs checks on the clients' loop.
func do(t *testing.T, c *Clients, fn func()) {
	t.Helper()
	c.Do(fn)
}

// upgrade has each WebSocket served by fn; its error is written to problems.
func upgrade(problems chan<- error, fn func(*websocket.Conn) error) http.HandlerFunc {
	var upgrader websocket.Upgrader
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err == nil {
			defer c.Close()
			err = fn(c)
		}
		problems <- err
	}
}

// numbered is a server whose messages are bare.
var numbered = Speech{Number: `{"n":`}

// Another server talks to the clients: messages whole and in pieces, a ping, a
// goodbye, a close.
func TestClients(t *testing.T) {
	const clients = 20
	for name, tt := range map[string]struct {
		leaving bool
		tls     *tls.Config
		atOnce  bool
	}{
		"restart":             {true, nil, false},
		"broken off":          {false, nil, false},
		"restart over TLS":    {true, &tls.Config{InsecureSkipVerify: true}, true},
		"broken off over TLS": {false, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}, false},
	} {
		t.Run(name, func(t *testing.T) {
			problems := make(chan error, clients)
			proceed := make(chan struct{})
			c := begin(t, Options{Clients: clients, Messages: 2, Speech: numbered, TLS: tt.tls, AtOnce: tt.atOnce}, upgrade(problems, func(c *websocket.Conn) error {
				<-proceed
				pongs := make(chan string, 1)
				c.SetPongHandler(func(text string) error {
					pongs <- text
					return nil
				})
				w, err := c.NextWriter(websocket.TextMessage)
				if err != nil {
					return err
				}
				fmt.Fprint(w, `{"text":"`)
				for range 1000 { // more than the writer's buffer: several frames
					fmt.Fprint(w, "0123456789")
				}
				fmt.Fprint(w, `",{"n":0}}`)
				w.Close()
				c.WriteMessage(websocket.TextMessage, []byte(`{"n":1}`))
				c.WriteControl(websocket.PingMessage, []byte("are you there?"), time.Now().Add(time.Minute))
				c.WriteMessage(websocket.TextMessage, []byte(`{"type":"bye"}`))
				c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1012, "restart"), time.Now().Add(time.Minute))
				_, _, err = c.ReadMessage()
				if !websocket.IsCloseError(err, 1012) {
					return fmt.Errorf("the close was answered by %w", err)
				}
				if text := <-pongs; text != "are you there?" {
					return fmt.Errorf("the ping was answered by %q", text)
				}
				return nil
			}))
			wait(t, c, "handshakes", func() bool { return c.Settled == clients })
			do(t, c, func() {
				c.Leaving = tt.leaving
				c.Gone.Begin(clients)
			})
			close(proceed)
			wait(t, c, "closes", func() bool { return c.Gone.Count+c.Counts.Broken == clients })
			for range clients {
				if err := <-problems; err != nil {
					t.Error(err)
				}
			}
			do(t, c, func() {
				if c.Joined.Count != clients || c.Pings != clients || c.Settled != 0 || c.pending != 0 || len(c.partial)+len(c.sealed) != 0 {
					t.Errorf("%d joined, %d pings, %d settled, %d pending, %d partial, %d sealed", c.Joined.Count, c.Pings, c.Settled, c.pending, len(c.partial), len(c.sealed))
				}
				if c.Received != 2*clients || c.Messages[1].Count != clients || c.Lost()+c.Counts.Doubled != 0 {
					t.Errorf("%d messages, %+v", c.Received, c.Counts)
				}
				if broken := c.Counts.Broken == clients && strings.Contains(c.Counts.Why, `1012 "restart"`); broken == tt.leaving {
					t.Errorf("%+v", c.Counts)
				}
			})
		})
	}
}

// A client that hangs up and connects again waits for its subscriptions anew.
func TestComeBack(t *testing.T) {
	problems := make(chan error, 2)
	speech := Gateway()
	speech.Subscriptions = func(uint32) uint8 { return 2 }
	c := begin(t, Options{Clients: 1, Speech: speech}, upgrade(problems, func(c *websocket.Conn) error {
		for _, text := range []string{`{"type":"welcome"}`, `{"type":"subscribed"}`, `{"type":"subscribed"}`} {
			if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				return err
			}
		}
		c.ReadMessage() // until the client hangs up
		return nil
	}))
	wait(t, c, "the handshake", func() bool { return c.Settled == 1 })
	do(t, c, func() { c.ComeBack(1) })
	wait(t, c, "the client", func() bool { return c.Joined.Count == 1 && c.Settled == 1 })
	if err := <-problems; err != nil {
		t.Error(err)
	}
}

// A refused handshake, a text that nobody knows and a server that leaves a
// client that may not be lost each fail the run.
func TestFailures(t *testing.T) {
	tests := map[string]struct {
		options Options
		text    string // "": the handshake is refused
		want    string
	}{
		"refused":      {Options{}, "", "404"},
		"unexpected":   {Options{Speech: Gateway()}, `{"type":"error"}`, "unexpected text"},
		"out of order": {Options{Strict: true, Messages: 3, Speech: numbered}, `{"n":1}`, "message 1 in place of 0"},
		"too many":     {Options{Strict: true, Messages: 3, Speech: numbered}, `{"n":3}`, "never published"},
		"gap":          {Options{Strict: true, Speech: Gateway()}, `{"type":"gap"}`, "a gap"},
		"left":         {Options{Strict: true, Speech: numbered}, "{}", "EOF"},
		"not trusted":  {Options{TLS: &tls.Config{ServerName: "example.com"}}, "", "unknown authority"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			problems := make(chan error, 1)
			handler := http.NotFound
			if tt.text != "" {
				handler = upgrade(problems, func(c *websocket.Conn) error {
					return c.WriteMessage(websocket.TextMessage, []byte(tt.text))
				})
			}
			tt.options.Clients = 1
			c := begin(t, tt.options, handler)
			if _, err := c.Wait(t.Context(), "the end", func() bool { return false }); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("failed by %v, want %q", err, tt.want)
			}
		})
	}
	c := begin(t, Options{}, http.NotFound)
	failed := errors.New("enough")
	c.Do(func() { c.Fail(failed) })
	if _, err := c.Wait(t.Context(), "nothing", func() bool { return false }); !errors.Is(err, failed) {
		t.Errorf("the wait ended by %v", err)
	}
}

// Events from net/http's chunked writer are read a piece at a time.
func TestEvents(t *testing.T) {
	const clients = 5
	stream := ": hello\n\nretry: 1000\nid: 1\nevent: message\ndata: {\"n\":0}\n\ndata:{\"n\":1}\r\n\r\n: ping\n\n"
	for name, pieces := range map[string]int{"whole": 1, "bytes": len(stream)} {
		t.Run(name, func(t *testing.T) {
			speech := numbered
			speech.Events = true
			c := begin(t, Options{Clients: clients, Messages: 2, Speech: speech}, func(w http.ResponseWriter, r *http.Request) {
				for i := range pieces {
					io.WriteString(w, stream[i*len(stream)/pieces:(i+1)*len(stream)/pieces])
					w.(http.Flusher).Flush()
				}
			})
			wait(t, c, "the ends", func() bool { return c.Counts.Broken == clients })
			do(t, c, func() {
				if c.Pings != 2*clients || len(c.partial) != 0 || !strings.Contains(c.Counts.Why, errEnded.Error()) {
					t.Errorf("%d comments, %d partial, %+v", c.Pings, len(c.partial), c.Counts)
				}
				if c.Received != 2*clients || c.Lost() != 0 {
					t.Errorf("%d messages, %d lost", c.Received, c.Lost())
				}
			})
		})
	}
}

// Whatever order messages come in, each is counted once.
func TestLossesAreCounted(t *testing.T) {
	for name, test := range map[string]struct {
		numbers       []int
		lost, doubled int
	}{
		"all":     {[]int{0, 1, 2, 3}, 0, 0},
		"none":    {nil, 4, 0},
		"hole":    {[]int{0, 2, 3}, 1, 0},
		"end":     {[]int{0, 1}, 2, 0},
		"doubled": {[]int{0, 1, 1, 2, 3}, 0, 1},
		"late":    {[]int{0, 2, 1, 3}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Options{Clients: 1, Messages: 4, Speech: numbered})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			do(t, c, func() {
				for _, k := range test.numbers {
					if err := c.text(0, Payload("n", k, 128)); err != nil {
						t.Error(err)
					}
				}
				if c.Lost() != test.lost || c.Counts.Doubled != test.doubled {
					t.Errorf("%d lost, %d doubled, want %d, %d", c.Lost(), c.Counts.Doubled, test.lost, test.doubled)
				}
			})
		})
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]int{
		string(Payload("n", 0, 64)):                   0,
		string(Payload("n", 12345, 64)):               12345,
		`{"push":{"channel":"c","pub":{"data":{"n":7`: 7,
		`{"n":`:  -1,
		`{"n":x`: -1,
		`{}`:     -1,
	} {
		k, ok := numbered.number([]byte(text), 0)
		if !ok {
			k = -1
		}
		if k != want {
			t.Errorf("%.40s: %d, want %d", text, k, want)
		}
	}
	if n := len(Payload("n", 99, 128)); n != 128 {
		t.Errorf("a payload of 128 bytes has %d", n)
	}
}

func TestProgressCurve(t *testing.T) {
	var p Progress
	p.Begin(10_000)
	for p.Count < p.Goal {
		p.add(time.Now())
	}
	if n := len(p.Curve); n < 90 || n > 110 {
		t.Errorf("%d points, want about a hundred", n)
	}
	if first, last := p.Curve[0].Count, p.Curve[len(p.Curve)-1].Count; first != 1 || last != 10_000 {
		t.Errorf("the curve goes from %d to %d, want 1 to 10000", first, last)
	}
}
