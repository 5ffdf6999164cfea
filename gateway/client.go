package gateway

import (
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/internal/reactor"
)

// phase is what a connection is used for:
//
//	          +--- next request on a kept connection
//	          v                 |
//	accept -> head -> body -> open -> closed
//	          |        |               ^
//	          +--------+-- answered, --+
//	                       refused
//
// body: a request's body is being read. open: a WebSocket, an event stream, or a waiting poll.
// closed: its last bytes are on their way, see package conn.
type phase uint8

const (
	phaseFree phase = iota
	phaseHead
	phaseBody
	phaseOpen
	phaseClosed
)

// kind is the transport of an open connection.
type kind uint8

const (
	kindNone kind = iota
	kindWebSocket
	kindEvents
	kindPoll
	kindEcho // a WebSocket of the echo endpoint
	kindCount
)

// kindNames label the metrics.
var kindNames = [kindCount]string{kindWebSocket: "websocket", kindEvents: "sse", kindPoll: "poll", kindEcho: "echo"}

// flags of a connection.
type flags uint16

const (
	flagRaw     flags = 1 << iota // format=raw: bare payloads
	flagPinged                    // a ping is unanswered and nothing was heard since
	flagProbing                   // its deadline is the check for the pong
	flagClose                     // close after the response
	flagWoken                     // a poll with messages
	flagEarly                     // a poll waiting for a message to know its position
	flagCORS                      // a page of an allowed origin sent the request, see webPages
	flagUnknown                   // a WebSocket without a token yet
	flagLed                       // a poll that got answerLead already
	flagKept                      // kept after a response for the next request
	flagTask                      // a task runs in slices, see task
	flagOver                      // its address is over its limit: its request is refused
)

// client is the peer of a connection. It exists a million times: it holds no pointer, and data that
// only some clients need (a partial frame, a poll's setup) is kept in tables of the shard, by the
// indices here. All of it is owned by the shard's loop.
type client struct {
	subs  index.List // its subscriptions
	in    uint32     // index of its input, 0 = none
	poll  uint32     // index of its poll during setup or reading, 0 = none
	grant uint32     // index of its token's grant, 0 = none
	max   uint16     // messages in a poll's response
	count uint16     // subscriptions
	phase phase
	kind  kind
	flags flags
}

// framed reports whether the connection speaks WebSocket frames.
func (c *client) framed() bool { return c.kind == kindWebSocket || c.kind == kindEcho }

// open turns a connection into a client.
func (s *shard) open(c *client, k kind, raw bool) {
	c.phase, c.kind = phaseOpen, k
	if raw {
		c.flags |= flagRaw
	}
	s.stats.clients[k]++
}

// client returns the client in a connection's slot.
func (s *shard) client(i uint32) *client { return s.clients.Get(i) }

// find returns the client of a key, nil if its connection is gone.
func (s *shard) find(k reactor.Key) *client {
	if !s.conns.Find(k) {
		return nil
	}
	return s.client(k.Slot)
}

// each calls fn for all connections.
func (s *shard) each(fn func(i uint32, c *client)) {
	for i := uint32(1); i < s.conns.End(); i++ {
		if s.conns.Exists(i) {
			fn(i, s.client(i))
		}
	}
}
