// Package httpconn speaks HTTP/1.1 with a loop's connections: it reads heads and bodies, keeps
// pipelined requests, routes to endpoints, and writes all responses and their headers, CORS
// included. A connection leaves it when an endpoint makes it a stream or a WebSocket.
package httpconn

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// Options are the settings of requests. A reload replaces them, see Server.Use.
type Options struct {
	HeadBytes     int // of a request
	BodyBytes     int // of a request
	HeadTimeout   time.Duration
	IdleTimeout   time.Duration // between two requests
	Reconnect     time.Duration // longest delay of clients that are sent to other nodes
	Origins       *auth.Origins
	Trusted       proxy.Networks
	ProxyHeader   proxy.Header
	ProxyProtocol proxy.Protocol
	HandshakeRate limit.Rate // of all loops
}

// Shared is the state that all servers of a process share.
type Shared struct {
	// Immutable once a loop runs
	Ready          func() error    // why new clients shouldn't be sent here
	ConsoleOrigins map[string]bool // of the console, which may connect too

	Draining   atomic.Bool   // connections end with their response
	handshakes limit.Bucket  // guards itself
	forbidden  limit.LogOnce // pages whose origin isn't allowed; guards itself
	nameless   limit.LogOnce // proxies that name no client; guards itself
}

// Forget has faults logged again that were logged before a reload.
func (s *Shared) Forget() {
	s.forbidden.Forget()
	s.nameless.Forget()
}

// Above is the layer of the clients that requests make of connections. Its methods are called on
// the loop.
type Above interface {
	// Received takes the bytes of a WebSocket, or of an event stream's client.
	Received(i uint32, p []byte)
	// ReadSize returns how much to read from a WebSocket at once.
	ReadSize(i uint32) int
	// HalfClosed notes that a client has closed its side and is kept, for the response to its
	// request or for its stream.
	HalfClosed(i uint32)
	// Due handles the deadline of a client.
	Due(i uint32)
	// Progress notes that a client reads its queue.
	Progress(i uint32)
	// Drained notes that a client's queue is empty.
	Drained(i uint32)
	// Lossy and Overflow are called as in conn.Handler.
	Lossy(i uint32, o *conn.Out) (kind queue.Kind, ok bool)
	Overflow(i uint32, q *queue.Queue)
	// Evict closes a client because the queues or inputs of all take too much memory.
	Evict(i uint32)
	// GiveUp frees the unfinished requests of a closed client.
	GiveUp(i uint32)
	// Responded notes that a request has its response: its client is no more.
	Responded(i uint32)
	// Closed and Reaped are called as in conn.Handler.
	Closed(i uint32, reason reasons.Close)
	Reaped(i uint32)
}

// phase is the state of an exchange:
//
//	          +--- next request on a kept connection --+
//	          v                                        |
//	accept -> head -> body ----> serving -> answered --+--> closed
//	            |                                           ^
//	            +-----------> streaming, upgraded ----------+
type phase uint8

const (
	phaseFree      phase = iota
	phaseHead            // a request's head is awaited or read
	phaseBody            // a request's body is read
	phaseServing         // an endpoint is to respond
	phaseStreaming       // the response has no end
	phaseUpgraded        // a WebSocket
	phaseClosed
)

// flags of an exchange.
type flags uint8

const (
	flagClose    flags = 1 << iota // close after the response
	flagCORS                       // a page of an allowed origin sent the request, see webPages
	flagLed                        // responseLead was sent already
	flagKept                       // kept after a response for the next request
	flagOver                       // its address is over its limit: its request is refused
	flagUpgraded                   // it is, or was until it closed
)

// exchange is a connection's present request and response. It exists a million times.
type exchange struct {
	phase phase
	flags flags
}

// Server serves the requests of one loop's connections.
type Server struct {
	// Immutable
	shared *Shared
	log    *slog.Logger
	conns  *conn.Set
	above  Above
	limits *limit.Clients // of the loop's clients

	Events Events // of connections
	Refuse Refusals
	Bodies Bodies
	cors   cors
	router router

	// Owned by the loop
	options   *Options // swapped by Use
	exchanges slab.Sparse[exchange]
	request   http1.Request // the one being routed
	date      []byte        // value of the Date header, updated each second
	leaving   bool          // the gateway is shutting down: requests are refused
}

// New returns a server without connections, and without routes but for health.
func New(shared *Shared, o *Options, limits *limit.Clients, log *slog.Logger, above Above) *Server {
	h := &Server{
		shared: shared, log: log, above: above, limits: limits, options: o,
	}
	h.Events.server, h.Bodies.server, h.cors.server = h, h, h
	h.router = router{server: h, routes: make(map[string]*Route)}
	h.Refuse = Refusals{server: h, rejects: make(map[reasons.Reject]uint64)}
	for _, path := range []string{"/", "/healthz", "/readyz"} {
		h.Handle(&Route{Path: path, Methods: []string{"GET", "HEAD"}, health: true})
	}
	h.router.routes["*"] = h.router.routes["/"] // OPTIONS * (RFC 9112, 3.2.4)
	return h
}

// Serve has the server handle the connections of a set, whose handler its Events are.
func (h *Server) Serve(conns *conn.Set) { h.conns = conns }

// Use replaces the options.
func (h *Server) Use(o *Options) { h.options = o }

// SetDate sets the value of the Date header.
func (h *Server) SetDate(date []byte) { h.date = date }

// Leave has all further requests refused, because the gateway is shutting down.
func (h *Server) Leave() { h.leaving = true }

// IsDraining reports whether connections end with their response.
func (h *Server) IsDraining() bool { return h.shared.Draining.Load() }

// at returns a connection's exchange.
func (h *Server) at(i uint32) *exchange { return h.exchanges.Get(i) }

// Request returns the request being routed, valid in an endpoint's Serve.
func (h *Server) Request() *http1.Request { return &h.request }

// Query returns the request's query.
func (h *Server) Query() http1.Query { return h.request.Query(nil) }
