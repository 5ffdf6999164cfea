package gateway

import (
	"fmt"
	"log/slog"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// readRequests is the size of a read that may hold requests or commands, so that one client's take
// the loop a few milliseconds at most. The rest of a started frame is read whole, since it is one
// command.
const readRequests = 16 << 10

// sendsPerSlice is the number of deliveries before the next poll for events: about 500 us at 8 us
// each.
const sendsPerSlice = 64

// shard owns a part of the connections: only its loop touches them. Other goroutines reach it by
// post.
type shard struct {
	// Immutable
	srv   *Server
	id    int
	log   *slog.Logger
	conns *conn.Set
	fan   func(conn uint32, b *index.Batch) // deliver, bound once

	handover handover // filled by the broker's goroutines

	// Owned by the loop
	cfg     *settings // swapped by a reload
	clients slab.Sparse[client]
	index   *index.Index
	inputs  slab.Table[input]
	held    heldInputs
	polls   slab.Table[poll]
	parts   []part // of the response being gathered
	grants  grants
	unknown map[uint32]*params // requests of WebSockets without a token yet
	joins   map[index.Channel]*join
	behind  []behind                     // clients being sent missed messages
	parked  map[uint32][]behind          // by slot: requests waiting for their next page
	paces   slab.Sparse[limit.Allowance] // catch-up rates of clients
	missed  [][]byte                     // buffers of missed messages being sent
	live    []index.Channel              // joins with waiters still to be served
	tasks   []*task                      // dropped ones included
	taskOf  map[uint32]*task             // by slot
	drain   drain
	frame   wsframe.Reader // initial state between messages
	echo    wsframe.Reader // the same for the echo endpoint
	fresh   wsframe.Reader // working copy for bytes between messages
	request http1.Request  // the one being routed
	upgrade upgrade
	stats   stats
	retry   uint32                 // spreads Retry-After
	overrun map[index.Channel]bool // channels whose messages are being dropped
	room    int                    // maxPending, less in tests
	onWoken func()                 // test hook: polls are woken, without a response yet
	scratch []byte                 // for small responses
	spelled []byte                 // JSON to be framed into scratch
	decoded []byte                 // of a query
	wakeups wakeups                // polls that have messages
	listed  []index.Channel        // by channelsOf
	date    []byte                 // value of the Date header, updated each second

	// Owned by the loop, for limits
	channels   int                      // included in the server's sum
	inputBytes int64                    // of kept client input
	rates      slab.Sparse[clientRates] // remaining rates of clients
	awaited    bool                     // the client being read was pinged and hasn't responded yet
	pages      webPages                 // origins of the pages behind connections
}

func newShard(srv *Server, id int, listener *reactor.Listener) (*shard, error) {
	s := &shard{
		srv:      srv,
		id:       id,
		log:      srv.log.With("shard", id),
		index:    index.New(),
		joins:    make(map[index.Channel]*join),
		taskOf:   make(map[uint32]*task),
		grants:   grants{byGrant: make(map[*auth.Grant]uint32)},
		unknown:  make(map[uint32]*params),
		overrun:  make(map[index.Channel]bool),
		parked:   make(map[uint32][]behind),
		room:     maxPending,
		handover: handover{room: maxHandover, drops: make(map[string]uint64)},
		echo:     wsframe.NewReader(wsframe.Server, maxEcho),
		stats:    newStats(),
	}
	s.fan = s.deliver
	s.index.OnDelivered(s.delivered)
	s.upgrade.init()
	set := srv.live.Load()
	conns, err := conn.New(&srv.net, listener, &set.conns, s.log, s, s)
	if err != nil {
		return nil, fmt.Errorf("shard %d: %w", id, err)
	}
	s.conns = conns
	s.use(set)
	return s, nil
}

// Ready is called by the loop for a ready descriptor.
func (s *shard) Ready(k reactor.Key, ev reactor.Events) { s.conns.Ready(k, ev) }

// Turn is called by the loop after each batch of events.
func (s *shard) Turn() (more bool) {
	beats := s.conns.Advance()
	s.conns.Submit()
	_, sends := s.index.Deliver(sendsPerSlice, s.fan)
	s.conns.Submit()
	reads := s.conns.ReadMore()
	answers := s.respondWoken()
	joins := s.tellLive()
	tasks := s.runTasks()
	behind := s.sendBehind()
	victims := s.endVictims(victimsPerSlice)
	s.conns.Reap()
	return beats || sends || reads || answers || joins || tasks || behind || victims
}

// deliver hands a batch of messages to one subscriber.
func (s *shard) deliver(i uint32, b *index.Batch) {
	c := s.client(i)
	switch {
	case c.kind == kindPoll:
		s.wake(i, c, b.Messages()[0])
		return
	case c.kind == kindEvents && c.poll != 0:
		s.deliverWithoutID(i, c, b)
		return
	}
	s.stats.deliveries += uint64(b.Count())
	form := c.form()
	o := conn.Out{Bytes: b.Encoded(form), Message: b.Messages()[0]}
	if b.Count() > 1 {
		o.Batch, o.Form = b.Messages(), form
	}
	s.conns.SendBatched(i, o)
}

// delivered records the delivery times of messages that have been sent to all subscribers.
func (s *shard) delivered(messages []*message.Message) {
	for _, m := range messages {
		if age := s.srv.broker.Age(m); age > 0 {
			s.stats.delivery.observe(age)
		}
	}
}

// Accepted begins a connection.
func (s *shard) Accepted(i uint32) { *s.clients.At(i) = client{phase: phaseHead} }

// ReadSize returns how much to read from a connection at once.
func (s *shard) ReadSize(i uint32) int {
	switch c := s.client(i); {
	case c.phase == phaseHead: // room to see the headers of an oversized head
		return max(readRequests, 2*s.cfg.Limits.HeadBytes)
	case c.phase != phaseOpen || c.kind == kindEcho:
		return conn.ReadBuffer
	case c.in != 0:
		return max(readRequests, int(min(s.inputs.At(c.in).frame.Left(), conn.ReadBuffer)))
	}
	return readRequests
}

// Received dispatches bytes read from a client.
func (s *shard) Received(i uint32, p []byte) {
	c := s.client(i)
	s.awaited = c.flags&flagPinged != 0
	c.flags &^= flagPinged
	switch c.phase {
	case phaseHead:
		s.head(i, c, p)
	case phaseBody:
		s.body(i, c, p)
	case phaseOpen:
		switch c.kind {
		case kindWebSocket, kindEcho:
			s.frames(i, c, p)
		case kindPoll:
			s.sentAhead(i, c, p)
		}
		// Input of an event stream's client is ignored.
	}
}

// Settled bounds the memory of the clients' input after each read.
func (s *shard) Settled() { s.boundInput() }

// Progress notes that a client reads its queue. The rest may take longer than the time left for its
// next request.
func (s *shard) Progress(i uint32) {
	c := s.client(i)
	c.flags &^= flagPinged
	if c.phase == phaseHead && s.drain.reason != reasons.CloseDrain {
		s.conns.SetDeadline(i, s.conns.Now()+conn.Ticks(s.cfg.Limits.IdleTimeout))
	}
}

// Drained continues with a client that has read its queue.
func (s *shard) Drained(i uint32) {
	switch c := s.client(i); {
	case c.phase == phaseOpen:
		s.goOn(i)
	case c.phase == phaseHead && c.in != 0:
		s.conns.Cork(i)
		s.head(i, c, nil)
		s.conns.Uncork(i)
	}
	s.endHalf(i, s.client(i))
}

// Closed notes that a connection has ended.
func (s *shard) Closed(i uint32, reason reasons.Close) {
	c := s.client(i)
	s.traceGone(i, c, reason)
	if c.phase == phaseOpen {
		s.stats.clients[c.kind]--
	}
	c.phase = phaseClosed
}

// Reaped frees all that is kept for a closed client.
func (s *shard) Reaped(i uint32) {
	c := s.client(i)
	s.unsubscribeAll(i, c)
	s.dropInput(i, c)
	s.freePoll(c)
	s.setGrant(c, nil)
	c.flags &^= flagWoken | flagEarly
	s.rates.Clear(i)
	s.paces.Clear(i)
	delete(s.parked, i)
	s.pages.of.Clear(i)
}

// post runs fn on the shard's loop.
func (s *shard) post(fn func()) { s.conns.Loop().Post(fn) }

// close stops the loop and cuts the remaining connections.
func (s *shard) close() { s.conns.Close() }
