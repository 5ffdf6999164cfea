package client

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/rules"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// Options are the settings of clients. A reload replaces them, see Hub.Use.
type Options struct {
	Verifier              *auth.Verifier
	Open                  bool // everybody has all rights but those that rules withhold
	Rules                 rules.List
	ChannelsPerConnection int
	TotalSubscriptions    int // of all loops
	TotalChannels         int // of all loops
	QueueBytes            int // of a client
	MessageBytes          int // of a message or request
	PayloadBytes          int // of a message that is published
	TotalInputBytes       int // of all loops
	TotalPublishRate      limit.Rate
	HeartbeatInterval     time.Duration
	HeartbeatTimeout      time.Duration
	TokenTimeout          time.Duration // for a WebSocket's first token
	Subprotocols          []string      // of WebSockets, besides the own one
	MaxAge                time.Duration // of a connection, 0 = none
	Reconnect             time.Duration // longest delay of clients that are asked to reconnect
}

// Shared is the state that all hubs of a process share.
type Shared struct {
	// Immutable
	Broker    *fanout.Broker
	Publisher *publish.Publisher

	Subscriptions       atomic.Int64
	Channels            atomic.Int64
	publishes           limit.Bucket  // guards itself
	UnknownSubprotocols limit.LogOnce // pages that offer only unknown subprotocols; guards itself
}

// Kind is a protocol's number.
type Kind uint8

// flags of a client.
type flags uint8

const (
	flagRaw    flags = 1 << iota // bare payloads
	flagBusy                     // a request of it is worked on in slices, see Tasks
	flagClosed                   // its connection is, and it will be freed
)

// Own is what a protocol keeps of each client. It fits into the client's record.
type Own struct {
	Number uint16
	Flags  uint8
}

// record is a client. It exists a million times: it holds no pointer, and data that only some
// clients need is kept in tables, by their slot or an index here.
type record struct {
	subs  index.List // its subscriptions
	grant uint32     // index of its token's grant, 0 = none
	own   Own
	count uint16 // subscriptions
	kind  Kind   // 0 = not a client, or not yet
	flags flags
}

// Hub holds the clients of one loop. It is the layer above its requests.
type Hub struct {
	// Immutable
	Conns     *conn.Set
	HTTP      *httpconn.Server
	Limits    *limit.Clients
	Shared    *Shared
	Net       *conn.Shared
	Log       *slog.Logger
	protocols []Protocol
	forms     [][2]message.Form // by kind, raw or not

	Events Events
	Life   Lifetimes
	Rights Rights

	// Owned by the loop
	Options  *Options // swapped by Use
	Stats    Stats
	Channels *Channels
	Tasks    Tasks
	intake   intake // filled by the broker's goroutines
	catchUps catchUps
	records  slab.Sparse[record]
}

// New returns a hub without clients and protocols.
func New(shared *Shared, net *conn.Shared, o *Options, limits *limit.Clients, log *slog.Logger) *Hub {
	h := &Hub{
		Shared: shared, Net: net, Options: o, Limits: limits, Log: log,
		forms: make([][2]message.Form, 1),
		Stats: newStats(),
	}
	h.protocols = []Protocol{none{Streams{h}}}
	h.Events.hub, h.Life.hub = h, h
	h.Rights = Rights{hub: h, grants: grants{byGrant: make(map[*auth.Grant]uint32)}}
	h.Channels = newChannels(h)
	h.Tasks = Tasks{hub: h, of: make(map[uint32]*running)}
	h.intake = intake{hub: h, room: maxHandover, pending: MaxPending, overrun: make(map[index.Channel]bool), drops: make(map[string]uint64)}
	h.catchUps = catchUps{hub: h, parked: make(map[uint32][]behind)}
	return h
}

// Serve has the hub serve the clients of a server's connections, whose layer above its Events are.
func (h *Hub) Serve(conns *conn.Set, http *httpconn.Server) { h.Conns, h.HTTP = conns, http }

// Use replaces the options.
func (h *Hub) Use(o *Options) { h.Options = o }

// Register adds a protocol and returns its kind.
func (h *Hub) Register(p Protocol) Kind {
	h.protocols = append(h.protocols, p)
	h.forms = append(h.forms, [2]message.Form{p.Form(false), p.Form(true)})
	h.Stats.Clients = append(h.Stats.Clients, 0)
	return Kind(len(h.protocols) - 1)
}

// Protocols returns the names of the protocols, by kind.
func (h *Hub) Protocols() (names []string) {
	for _, p := range h.protocols {
		names = append(names, p.Name())
	}
	return names
}

// at returns a connection's record.
func (h *Hub) at(i uint32) *record { return h.records.At(i) }

// Own returns what a client's protocol keeps of it.
func (h *Hub) Own(i uint32) *Own { return &h.at(i).own }

// Open makes a connection a client of a kind.
func (h *Hub) Open(i uint32, k Kind, raw bool) {
	c := h.at(i)
	c.kind = k
	if raw {
		c.flags |= flagRaw
	}
	h.Stats.Clients[k]++
}

// IsOpen reports whether a connection is a client, and not closed.
func (h *Hub) IsOpen(i uint32) bool { return h.at(i).isOpen() }

func (c *record) isOpen() bool { return c.kind != 0 && c.flags&flagClosed == 0 }

// Is reports whether a connection is an open client of a kind.
func (h *Hub) Is(i uint32, k Kind) bool { c := h.at(i); return c.kind == k && c.isOpen() }

// IsRaw reports whether a client wants bare payloads.
func (h *Hub) IsRaw(i uint32) bool { return h.at(i).flags&flagRaw != 0 }

// Transport returns a connection's transport, by its name in the operator's lists: http before it is
// a client.
func (h *Hub) Transport(i uint32) string { return h.protocolOf(i).Name() }

// FormOf returns the encoding of messages for a client.
func (h *Hub) FormOf(i uint32) message.Form { return h.form(h.at(i)) }

// protocolOf returns the protocol of a client.
func (h *Hub) protocolOf(i uint32) Protocol { return h.protocols[h.at(i).kind] }

func (h *Hub) form(c *record) message.Form { return h.forms[c.kind][c.flags&flagRaw] }

// Post runs fn on the loop.
func (h *Hub) Post(fn func()) { h.Conns.Loop().Post(fn) }

// Work does a slice of the loop's long work.
func (h *Hub) Work() (more bool) {
	joins := h.Channels.startWaiting()
	tasks := h.Tasks.run()
	behind := h.catchUps.send()
	return joins || tasks || behind
}

// Tick continues the work that waits for a client's rate.
func (h *Hub) Tick() { h.catchUps.nextPages() }

// Deliver hands a slice of the messages that wait to their subscribers.
func (h *Hub) Deliver() (more bool) {
	_, more = h.Channels.Index.Deliver(sendsPerSlice, h.Channels.fan)
	return more
}

// sendsPerSlice is the number of deliveries before the next poll for events: about 500 us at 8 us
// each.
const sendsPerSlice = 64

// deliver hands a batch of messages to one subscriber.
func (h *Hub) deliver(i uint32, b *index.Batch) {
	c := h.records.Get(i)
	if h.protocols[c.kind].Deliver(i, b) {
		return
	}
	h.Stats.Deliveries += uint64(b.Count())
	form := h.form(c)
	o := conn.Out{Bytes: b.Encoded(form), Message: b.Messages()[0]}
	if b.Count() > 1 {
		o.Batch, o.Form = b.Messages(), form
	}
	h.Conns.Out.SendBatched(i, o)
}

// Ended ends a client whose connection goes on with its next request.
func (h *Hub) Ended(i uint32) {
	c := h.at(i)
	h.Stats.Clients[c.kind]--
	h.Channels.leaveAll(i)
	h.protocols[c.kind].Free(i)
	c.kind, c.own = 0, Own{}
}
