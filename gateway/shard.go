package gateway

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/heartbeat"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// readBuffer is the size of the buffer that a shard reads into; it is reused for every event.
const readBuffer = 64 << 10

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
	loop  *reactor.Loop
	fan   func(conn uint32, b *index.Batch) // deliver, bound once
	onDue func(i uint32)                    // due, bound once

	handover handover // filled by the broker's goroutines

	// Owned by the loop
	cfg      *settings // swapped by a reload
	conns    slots
	index    *index.Index
	wheel    *heartbeat.Wheel
	inputs   slab.Table[input]
	held     heldInputs
	queues   queue.Set
	origins  queue.Origins // of queued messages
	polls    slab.Table[poll]
	parts    []part // of the response being gathered
	grants   grants
	unknown  map[uint32]*params // requests of WebSockets without a token yet
	joins    map[index.Channel]*join
	behind   []behind                     // clients being sent missed messages
	parked   map[uint32][]behind          // by slot: requests waiting for their next page
	paces    slab.Sparse[limit.Allowance] // catch-up rates of clients
	missed   [][]byte                     // buffers of missed messages being sent
	live     []index.Channel              // joins with waiters still to be served
	tasks    []*task                      // dropped ones included
	taskOf   map[uint32]*task             // by slot
	listener *reactor.Listener            // nil once closed
	paused   bool                         // the listener isn't watched until the next tick
	backlog  bool                         // more connections may be waiting
	demoted  demoted                      // clients not read from for now
	drain    drain
	now      uint32         // tick
	awake    bool           // an event of this round was handled
	stalled  int            // rounds until deadlines are enforced again, after a stall
	frame    wsframe.Reader // initial state between messages
	echo     wsframe.Reader // the same for the echo endpoint
	fresh    wsframe.Reader // working copy for bytes between messages
	request  http1.Request  // the one being routed
	upgrade  upgrade
	stats    stats
	retry    uint32                  // spreads Retry-After
	overrun  map[index.Channel]bool  // channels whose messages are being dropped
	room     int                     // maxPending, less in tests
	marked   []uint32                // slots marked since the last reap
	gone     []uint32                // closed slots to free
	onWrite  func(i uint32, c *conn) // test hook
	onWoken  func()                  // test hook: polls are woken, without a response yet
	rbuf     [readBuffer]byte
	vec      [64][]byte // of a flush
	scratch  []byte     // for small responses
	spelled  []byte     // JSON to be framed into scratch
	cork     cork
	batch    batch
	decoded  []byte          // of a query
	wakeups  wakeups         // polls that have messages
	listed   []index.Channel // by channelsOf
	date     []byte          // value of the Date header, updated each second

	newcomers newcomers

	// Owned by the loop, for limits
	channels   int                      // included in the server's sum
	inputBytes int64                    // of kept client input
	fullAt     uint32                   // tick + 1 of the last warning that limits.connections is reached
	rejected   rejected                 // sockets of rejected clients
	locations  slab.Sparse[location]    // origins of connections
	rates      slab.Sparse[clientRates] // their remaining rates
	awaited    bool                     // the client being read was pinged and hasn't responded yet
	pages      webPages                 // origins of the pages behind connections
}

func newShard(srv *Server, id int, listener *reactor.Listener) (*shard, error) {
	s := &shard{
		srv:      srv,
		id:       id,
		log:      srv.log.With("shard", id),
		index:    index.New(),
		wheel:    heartbeat.New(wheelSize),
		joins:    make(map[index.Channel]*join),
		taskOf:   make(map[uint32]*task),
		grants:   grants{byGrant: make(map[*auth.Grant]uint32)},
		unknown:  make(map[uint32]*params),
		overrun:  make(map[index.Channel]bool),
		parked:   make(map[uint32][]behind),
		room:     maxPending,
		handover: handover{room: maxHandover, drops: make(map[string]uint64)},
		listener: listener,
		echo:     wsframe.NewReader(wsframe.Server, maxEcho),
		stats:    newStats(),
	}
	s.fan, s.onDue = s.deliver, s.due
	s.queues = queue.NewSet(&srv.queued)
	s.index.OnDelivered(s.delivered)
	s.upgrade.init()
	s.use(srv.live.Load())
	loop, err := reactor.New(s)
	if err != nil {
		return nil, fmt.Errorf("shard %d: %w", id, err)
	}
	s.loop = loop
	if err := loop.Add(listener.FD(), reactor.Key{Slot: listenerSlot}, reactor.In); err != nil {
		loop.Close()
		return nil, fmt.Errorf("shard %d: watch the listener: %w", id, err)
	}
	return s, nil
}

// Ready is called by the loop for a ready descriptor.
func (s *shard) Ready(k reactor.Key, ev reactor.Events) {
	if !s.awake {
		s.wakeUp()
	}
	if k.Slot == listenerSlot {
		s.accept()
		return
	}
	c := s.conns.find(k.Slot, k.Gen)
	if c == nil {
		return
	}
	if ev&reactor.Out != 0 {
		s.flush(k.Slot, c)
		if c.phase == phaseGone {
			return
		}
	}
	ends := reactor.In | reactor.Hup
	if c.flags&flagHalf != 0 {
		ends = reactor.Gone // the end of its side may be reported again
	}
	if ev&ends != 0 {
		s.read(k.Slot, c)
	}
	if took := s.loop.Spent(costly); took > costly && c.phase < phaseClosing && s.demoted.again(k, s.now) {
		s.demote(k.Slot, c, took)
	}
}

// Turn is called by the loop after each batch of events.
func (s *shard) Turn() (more bool) {
	s.awake = false
	beats := true
	if s.settled() {
		_, beats = s.wheel.Advance(s.now, beatsPerSlice, s.onDue)
	}
	s.submit()
	_, sends := s.index.Deliver(sendsPerSlice, s.fan)
	s.submit()
	accepts := s.acceptMore()
	s.readNewcomers()
	demoted := s.readDemoted()
	answers := s.respondWoken()
	joins := s.tellLive()
	tasks := s.runTasks()
	behind := s.sendBehind()
	victims := s.endVictims(victimsPerSlice)
	s.reap()
	return beats || sends || accepts || demoted || answers || joins || tasks || behind || victims
}

// deliver hands a batch of messages to one subscriber.
func (s *shard) deliver(i uint32, b *index.Batch) {
	c := s.conns.at(i)
	switch {
	case c.kind == kindPoll:
		s.wake(i, c, b.Messages()[0])
		return
	case c.kind == kindEvents && c.poll != 0:
		s.deliverWithoutID(i, c, b)
		return
	}
	s.stats.deliveries += uint64(b.Count())
	o := outgoing{b: b.Encoded(c.form()), message: b.Messages()[0]}
	if b.Count() > 1 {
		o.batch = b.Messages()
	}
	s.sendBatched(i, c, o)
}

// delivered records the delivery times of messages that have been sent to all subscribers.
func (s *shard) delivered(messages []*message.Message) {
	for _, m := range messages {
		if age := s.srv.broker.Age(m); age > 0 {
			s.stats.delivery.observe(age)
		}
	}
}

// read makes one read from the client; the loop reports any remainder with its next event. It
// returns whether there were bytes, their end or an error.
func (s *shard) read(i uint32, c *conn) bool {
	buf := s.rbuf[:]
	switch {
	case c.phase == phaseHead: // room to see the headers of an oversized head
		buf = buf[:min(len(buf), max(readRequests, 2*s.cfg.Limits.HeadBytes))]
	case c.phase == phaseOpen && c.kind != kindEcho:
		most := readRequests
		if c.in != 0 {
			most = max(most, int(min(s.inputs.At(c.in).frame.Left(), readBuffer)))
		}
		buf = buf[:most]
	}
	n, err := reactor.Read(int(c.fd), buf)
	switch err {
	case nil:
	case reactor.ErrAgain:
		return false
	case io.EOF:
		s.ended(i, c)
		return true
	default:
		s.lost(i, c)
		return true
	}
	s.stats.bytesIn += uint64(n)
	s.awaited = c.flags&flagPinged != 0
	s.hear(c)
	s.corkIt(i)
	s.received(i, c, s.rbuf[:n])
	s.uncork(i, c)
	s.boundInput()
	return true
}

// received dispatches bytes read from a client.
func (s *shard) received(i uint32, c *conn, p []byte) {
	switch c.phase {
	case phaseProxy:
		s.proxyHeader(i, c, p)
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

// ended handles the client closing its side.
func (s *shard) ended(i uint32, c *conn) {
	switch {
	case c.flags&flagHalf != 0: // both sides are closed now
		s.release(i, c, reasons.CloseByClient)
	case s.owed(c):
		s.halfClosed(i, c)
	case c.phase == phaseClosing:
		s.drop(i, c)
	case c.phase == phaseBody, c.phase <= phaseHead && c.in != 0:
		s.release(i, c, reasons.CloseUnreadable)
	case c.framed() && c.in != 0:
		s.release(i, c, reasons.CloseReset)
	default:
		s.release(i, c, reasons.CloseByClient)
	}
}

// post runs fn on the shard's loop.
func (s *shard) post(fn func()) { s.loop.Post(fn) }

// close stops the loop and cuts the remaining connections.
func (s *shard) close() {
	s.loop.Close()
	s.batch.close()
	if s.listener != nil {
		s.listener.Close()
	}
	s.closeAllRejected()
	s.conns.each(func(_ uint32, c *conn) { reactor.CloseFD(int(c.fd)) })
}
