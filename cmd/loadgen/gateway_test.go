package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/websocket"
)

// gateway is the least that loadgen can be run against: WebSocket clients get
// the messages published in a miniredis.
type gateway struct {
	server *httptest.Server
	sub    *miniredis.Subscriber
	done   chan struct{} // closed when forward ends

	mu      sync.Mutex
	clients map[*websocket.Conn][]string // to their channels
	n       int                          // messages forwarded
	drop    int                          // the one to lose for one client
}

func newGateway(redis *miniredis.Miniredis) *gateway {
	g := &gateway{clients: make(map[*websocket.Conn][]string), sub: redis.NewSubscriber(), done: make(chan struct{})}
	g.sub.Psubscribe("push:*")
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	go g.forward()
	return g
}

func (g *gateway) close() {
	g.sub.Close()
	<-g.done
	g.server.CloseClientConnections()
	g.server.Close()
}

func (g *gateway) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.clients)
}

func (g *gateway) dropAt(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop = n
}

// forward runs until close.
func (g *gateway) forward() {
	defer close(g.done)
	for m := range g.sub.Pmessages() {
		g.mu.Lock()
		g.n++
		drop := g.n == g.drop
		channel := strings.TrimPrefix(m.Channel, "push:")
		for c, list := range g.clients {
			for _, name := range list {
				if name != channel {
					continue
				}
				if drop {
					drop = false
					continue
				}
				c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"message","channel":%q,"id":"~n-%d","data":%s}`, channel, g.n, m.Message))
			}
		}
		g.mu.Unlock()
	}
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/ws" {
		http.NotFound(w, r)
		return
	}
	up := websocket.Upgrader{}
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	list := strings.Split(r.URL.Query().Get("channels"), ",")
	g.mu.Lock()
	for _, name := range list {
		c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"subscribed","channel":%q,"id":"~n-0"}`, name))
	}
	g.clients[c] = list
	g.mu.Unlock()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			break
		}
	}
	g.mu.Lock()
	delete(g.clients, c)
	g.mu.Unlock()
}
