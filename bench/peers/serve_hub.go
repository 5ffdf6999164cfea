package main

import (
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// hub is the one of gorilla/websocket's chat example: one goroutine that knows
// all clients, and for each client a channel, a goroutine that writes what
// comes through it, and one that reads. A client whose channel is full is
// dropped.
type hub struct {
	// Immutable
	events   bool
	interval time.Duration
	upgrader websocket.Upgrader

	// Received by run; never closed
	register   chan *hubClient
	unregister chan *hubClient
	broadcast  chan []byte
}

// hubClient is one connection.
type hubClient struct {
	send chan []byte // sent to by run, which closes it; received by the writing goroutine
}

func newHub(t transport, interval time.Duration) (made, error) {
	h := &hub{
		events: t == eventsTransport, interval: interval,
		upgrader: websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024},
		register: make(chan *hubClient), unregister: make(chan *hubClient), broadcast: make(chan []byte),
	}
	go h.run() // ends with the process
	return h, nil
}

func (h *hub) run() {
	clients := map[*hubClient]bool{}
	for {
		select {
		case c := <-h.register:
			clients[c] = true
		case c := <-h.unregister:
			if clients[c] {
				delete(clients, c)
				close(c.send)
			}
		case message := <-h.broadcast:
			for c := range clients {
				select {
				case c.send <- message:
				default:
					close(c.send)
					delete(clients, c)
				}
			}
		}
	}
}

func (h *hub) publish(text []byte) error {
	h.broadcast <- text
	return nil
}

func (h *hub) serve(l net.Listener) error { return http.Serve(l, h) }

// ServeHTTP takes a new client.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &hubClient{send: make(chan []byte, 256)}
	if h.events {
		h.writeEvents(w, r, c)
		return
	}
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	h.register <- c
	go h.write(conn, c) // ends when run closes the channel or a write fails
	go h.read(conn, c)  // ends when the connection is closed
}

// read waits for pongs, and for the end.
func (h *hub) read(conn *websocket.Conn, c *hubClient) {
	defer func() {
		h.unregister <- c
		conn.Close()
	}()
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(2 * h.interval)) }
	alive("")
	conn.SetPongHandler(alive)
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

func (h *hub) write(conn *websocket.Conn, c *hubClient) {
	ticker := time.NewTicker(h.interval)
	defer func() {
		ticker.Stop()
		conn.Close()
	}()
	for {
		kind, text := websocket.PingMessage, []byte(nil)
		select {
		case message, ok := <-c.send:
			if !ok {
				conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			kind, text = websocket.TextMessage, message
		case <-ticker.C:
		}
		conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if conn.WriteMessage(kind, text) != nil {
			return
		}
	}
}

// writeEvents is the same over net/http, in the request's goroutine.
func (h *hub) writeEvents(w http.ResponseWriter, r *http.Request, c *hubClient) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	h.register <- c
	defer func() { h.unregister <- c }()
	if stream.Flush() != nil {
		return
	}
	ticker := time.NewTicker(h.interval)
	defer ticker.Stop()
	for {
		event := []byte(": ping\n\n")
		select {
		case message, ok := <-c.send:
			if !ok {
				return
			}
			event = append(append([]byte("data: "), message...), "\n\n"...)
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
		stream.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := w.Write(event); err != nil || stream.Flush() != nil {
			return
		}
	}
}
