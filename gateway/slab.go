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
// proxy: a trusted proxy has to say first for whom it speaks.
//
// body: a request's body is being read. open: a WebSocket, a stream of events,
// or a poll that waits.
//
// closing: the last bytes are out, the write side is shut; what the client
// still sends is read and dropped until it closes too or its time is up, since
// a close with unread input would make the kernel reset the connection and the
// client lose what it was told.
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

// kind is what an open connection speaks.
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
	flagPinged                    // a ping is out and nothing was heard since
	flagProbing                   // its deadline is the check for the answer to a ping
	flagEnding                    // close once the queue is empty
	flagClose                     // the connection ends with the answer
	flagWoken                     // a poll that has messages
	flagEarly                     // a poll that waits for a message to know where it is
	flagCORS                      // a page of an allowed origin asks, see webPages
	flagUnknown                   // a WebSocket that hasn't shown its token yet
	flagBatched                   // a send to it is in the batch
	flagHalf                      // the client has ended its side and reads on, see halfClosed
	flagLed                       // a poll whose answer has begun with answerLead
	flagKept                      // it has had an answer and is kept for the next request
	flagTask                      // something of it is done a slice at a time, see task
	flagOver                      // its address has as many connections as it may: its request is refused
	flagDemoted                   // nothing is read from it until it's its turn, see demote
)

// conn is a connection. It exists a million times: it holds no pointer, and
// what only some connections need (a queue, a partial frame) is kept in tables
// of the shard and named here by index. All of it is owned by the shard's loop.
type conn struct {
	fd    int32
	gen   uint32     // grows each time the slot is freed; never 0 when used
	subs  index.List // its subscriptions
	heard uint32     // tick of the last bytes from the client; next free slot in a free one
	born  uint32     // tick of the accept
	in    uint32     // index of its input, 0 = none
	out   uint32     // index of its queue, 0 = none
	poll  uint32     // index of its poll while that is being set up or read, 0 = none
	grant uint32     // index of what its token allows, 0 = none
	max   uint16     // messages in a poll's answer
	count uint16     // subscriptions
	phase phase
	kind  kind
	flags flags
}

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

// slots holds a shard's connections in chunks that never move. At a million
// entries it costs the collector 2.6 ms a cycle where a map of pointers costs
// 246 ms, and 44.1 B an entry (BenchmarkSlab).
type slots struct {
	chunks []*[chunkSize]conn
	free   uint32 // head of the list of free slots; 0 = none, slot 0 is never used
	next   uint32 // first slot that was never used
	used   int
}

// framed reports whether the connection speaks WebSocket frames.
func (c *conn) framed() bool { return c.kind == kindWebSocket || c.kind == kindEcho }

// at returns the connection in slot i, which was given out by take.
func (s *slots) at(i uint32) *conn { return &s.chunks[i>>chunkBits][i&(chunkSize-1)] }

// take returns an unused slot with nothing set but its generation.
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

// put frees slot i: keys that name it with the old generation are void.
func (s *slots) put(i uint32) {
	c := s.at(i)
	*c = conn{gen: c.gen + 1, heard: s.free}
	s.free = i
	s.used--
}

// find returns the connection that k names, or nil when it is gone.
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

// each calls fn for all connections; fn may free the one that it is given.
func (s *slots) each(fn func(i uint32, c *conn)) {
	for i := uint32(1); i < s.next; i++ {
		if c := s.at(i); c.phase != phaseFree {
			fn(i, c)
		}
	}
}
