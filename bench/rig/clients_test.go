package rig

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"
)

// TestConnSize keeps the clients small beside what they measure.
func TestConnSize(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 8 {
		t.Errorf("a connection takes %d bytes, want at most 8", size)
	}
}

// notes is an owner that writes down what it is told. It settles a client at
// its first text.
type notes struct {
	*Clients
	opened int
	texts  map[uint32][]string
	ended  map[uint32]error
}

func (n *notes) Opened(uint32) { n.opened++ }
func (n *notes) Turn()         {}

func (n *notes) Text(slot uint32, text []byte) error {
	if n.texts[slot] = append(n.texts[slot], string(text)); len(n.texts[slot]) == 1 {
		n.Settle(slot)
	}
	return nil
}

func (n *notes) Ended(slot uint32, err error) { n.ended[slot] = err }

// begin connects clients to a handler.
func begin(t *testing.T, clients int, events bool, handler http.HandlerFunc) *notes {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	remote := netip.MustParseAddrPort(server.Listener.Addr().String())
	request := Request("/", remote)
	if events {
		request = RequestEvents("/", remote)
	}
	n := &notes{texts: map[uint32][]string{}, ended: map[uint32]error{}}
	var err error
	n.Clients, err = NewClients(Options{
		Remote: remote, Clients: clients, InFlight: 2, Events: events,
		Request: func(uint32) []byte { return request },
	}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	n.Post(func() {
		for i := range clients {
			n.Dial(uint32(i))
		}
	})
	return n
}

// upgrade has each WebSocket served by fn; what it returns is written to
// problems.
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

// TestClients has a server of somebody else's talk to the clients: messages
// whole and in pieces, a ping, a close.
func TestClients(t *testing.T) {
	const clients = 20
	problems := make(chan error, clients)
	n := begin(t, clients, false, upgrade(problems, func(c *websocket.Conn) error {
		pongs := make(chan string, 1)
		c.SetPongHandler(func(text string) error {
			pongs <- text
			return nil
		})
		w, err := c.NextWriter(websocket.TextMessage)
		if err != nil {
			return err
		}
		for range 1000 { // more than the writer's buffer: several frames
			fmt.Fprint(w, "0123456789")
		}
		w.Close()
		c.WriteMessage(websocket.TextMessage, []byte("second"))
		c.WriteControl(websocket.PingMessage, []byte("are you there?"), time.Now().Add(time.Minute))
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
	if _, err := n.Wait(t.Context(), "closes", func() bool { return len(n.ended) == clients }); err != nil {
		t.Fatal(err)
	}
	for range clients {
		if err := <-problems; err != nil {
			t.Error(err)
		}
	}
	if err := n.Do(func() {
		if n.opened != clients || n.Pings != clients || n.Settled != 0 || n.pending != 0 || len(n.partial) != 0 {
			t.Errorf("%d opened, %d pings, %d settled, %d pending, %d partial", n.opened, n.Pings, n.Settled, n.pending, len(n.partial))
		}
		for slot, err := range n.ended {
			closed := (*Closed)(nil)
			if !errors.As(err, &closed) || closed.Code != 1012 || closed.Reason != "restart" {
				t.Errorf("client %d ended by %v", slot, err)
			}
			if texts := n.texts[slot]; len(texts) != 2 || len(texts[0]) != 10_000 || texts[1] != "second" {
				t.Errorf("client %d got %.100q", slot, texts)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// TestClientComesBack dials a slot anew.
func TestClientComesBack(t *testing.T) {
	problems := make(chan error, 2)
	n := begin(t, 1, false, upgrade(problems, func(c *websocket.Conn) error {
		if err := c.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
			return err
		}
		c.ReadMessage() // until the client hangs up
		return nil
	}))
	if _, err := n.Wait(t.Context(), "the handshake", func() bool { return n.Settled == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := n.Do(func() {
		n.HangUp(0)
		n.texts[0] = nil
		n.Dial(0)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Wait(t.Context(), "the client", func() bool { return n.opened == 2 && n.Settled == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := <-problems; err != nil {
		t.Error(err)
	}
}

func TestRefusedHandshakeEndsTheClient(t *testing.T) {
	n := begin(t, 1, false, http.NotFound)
	if _, err := n.Wait(t.Context(), "the answer", func() bool { return n.ended[0] != nil }); err != nil {
		t.Fatal(err)
	}
	if err := n.Do(func() {
		if n.opened != 0 || n.pending != 0 {
			t.Errorf("%d opened, %d pending", n.opened, n.pending)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func TestFailureEndsTheWait(t *testing.T) {
	n := begin(t, 0, false, http.NotFound)
	failed := errors.New("enough")
	n.Post(func() { n.Fail(failed) })
	if _, err := n.Wait(t.Context(), "nothing", func() bool { return false }); !errors.Is(err, failed) {
		t.Errorf("the wait ended by %v", err)
	}
}

// TestEvents reads what net/http's chunked writer makes of events, a piece at
// a time.
func TestEvents(t *testing.T) {
	const clients = 5
	stream := ": hello\n\nretry: 1000\nid: 1\nevent: message\ndata: first\n\ndata:second\r\n\r\n: ping\n\n"
	for name, pieces := range map[string]int{"whole": 1, "bytes": len(stream)} {
		t.Run(name, func(t *testing.T) {
			n := begin(t, clients, true, func(w http.ResponseWriter, r *http.Request) {
				for i := range pieces {
					io.WriteString(w, stream[i*len(stream)/pieces:(i+1)*len(stream)/pieces])
					w.(http.Flusher).Flush()
				}
			})
			if _, err := n.Wait(t.Context(), "the ends", func() bool { return len(n.ended) == clients }); err != nil {
				t.Fatal(err)
			}
			if err := n.Do(func() {
				if n.Pings != 2*clients || len(n.partial) != 0 {
					t.Errorf("%d comments, %d partial", n.Pings, len(n.partial))
				}
				for slot, err := range n.ended {
					if !errors.Is(err, errEnded) {
						t.Errorf("client %d ended by %v", slot, err)
					}
					if want := []string{"first", "second"}; !slices.Equal(n.texts[slot], want) {
						t.Errorf("client %d got %q, want %q", slot, n.texts[slot], want)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
