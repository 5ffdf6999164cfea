package gateway

import "github.com/pushgate/pushgate/fanout/index"

// phase is where a connection is in its life:
//
//	          +--- next request on a kept connection
//	          v                 |
//	accept -> head -> body -> open -> closing -> gone -> free
//	     |    ^   |                     ^
//	     +----+   +-- answered, refused-+
//	     proxy
//
// proxy: a trusted proxy has to name the client first.
//
// body: a request's body is being read. open: a WebSocket, an event stream, or a waiting poll.
//
// closing: the last bytes are out, the write side is shut; further input is read and dropped
// until the client closes too or its time is up, since a close with unread input would make the
// kernel reset the connection and the client lose its last bytes.
//
// gone: it is cut off, and freed as soon as the loop is done with the event, see reap.
type phase uint8

const (
	phaseFree phase = iota
	phaseProxy
	phaseHead
	phaseBody
	phaseOpen
	phaseClosing
	phaseGone
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
	flagEnding                    // close once the queue is empty
	flagClose                     // close after the response
	flagWoken                     // a poll with messages
	flagEarly                     // a poll waiting for a message to know its position
	flagCORS                      // a page of an allowed origin sent the request, see webPages
	flagUnknown                   // a WebSocket without a token yet
	flagBatched                   // a send to it is in the batch
	flagHalf                      // the client has closed its side and reads on, see halfClosed
	flagLed                       // a poll that got answerLead already
	flagKept                      // kept after a response for the next request
	flagTask                      // a task runs in slices, see task
	flagOver                      // its address is over its limit: its request is refused
	flagDemoted                   // reading is suspended until its turn, see demote
)

// conn is a connection. It exists a million times: it holds no pointer, and data that only some
// connections need (a queue, a partial frame) is kept in tables of the shard, by the indices here.
// All of it is owned by the shard's loop.
type conn struct {
	fd    int32
	gen   uint32     // incremented each time the slot is freed; never 0 in use
	subs  index.List // its subscriptions
	heard uint32     // tick of the last bytes from the client; next free slot in a free one
	born  uint32     // tick of the accept
	in    uint32     // index of its input, 0 = none
	out   uint32     // index of its queue, 0 = none
	poll  uint32     // index of its poll during setup or reading, 0 = none
	grant uint32     // index of its token's grant, 0 = none
	max   uint16     // messages in a poll's response
	count uint16     // subscriptions
	phase phase
	kind  kind
	flags flags
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// slots stores a shard's connections in chunks that never move. At a million entries it costs the
// collector 2.6 ms a cycle where a map of pointers costs 246 ms, and 44.1 B an entry
// (BenchmarkSlab).
type slots struct {
	chunks []*[chunkSize]conn
	free   uint32 // head of the list of free slots; 0 = none, slot 0 is never used
	next   uint32 // first slot never used
	used   int
}

// framed reports whether the connection speaks WebSocket frames.
func (c *conn) framed() bool { return c.kind == kindWebSocket || c.kind == kindEcho }

// at returns the connection in slot i, which take has returned.
func (s *slots) at(i uint32) *conn { return &s.chunks[i>>chunkBits][i&(chunkSize-1)] }

// take returns an unused slot, zero except for its generation.
func (s *slots) take() (uint32, *conn) {
	s.used++
	if i := s.free; i != 0 {
		c := s.at(i)
		s.free = c.heard
		*c = conn{gen: c.gen}
		return i, c
	}
	if s.next == 0 {
		s.next = 1
	}
	i := s.next
	if int(i>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkSize]conn))
	}
	s.next++
	c := s.at(i)
	c.gen = 1
	return i, c
}

// put frees slot i: keys with the old generation become void.
func (s *slots) put(i uint32) {
	c := s.at(i)
	*c = conn{gen: c.gen + 1, heard: s.free}
	s.free = i
	s.used--
}

// find returns the connection in slot if its generation is gen, nil if it is gone.
func (s *slots) find(slot, gen uint32) *conn {
	if slot == 0 || slot >= s.next {
		return nil
	}
	c := s.at(slot)
	if c.gen != gen || c.phase == phaseFree || c.phase == phaseGone {
		return nil
	}
	return c
}

// each calls fn for all connections; fn may free its argument.
func (s *slots) each(fn func(i uint32, c *conn)) {
	for i := uint32(1); i < s.next; i++ {
		if c := s.at(i); c.phase != phaseFree {
			fn(i, c)
		}
	}
}
