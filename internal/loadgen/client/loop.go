package client

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsclient"
)

// readBuffer is the most that one read takes: a client that is behind gets its turn
// again with the next batch.
const readBuffer = 128 << 10

// CloseWait is how long a server may take to close the stream after the close
// frames were exchanged.
const CloseWait = 5 * time.Second

// loop holds one share of the clients: those whose number is index modulo
// stride. Slot s is client s*stride+index.
type loop struct {
	// Immutable
	plan    *plan.Plan
	engine  *Engine
	reactor *reactor.Loop
	index   uint32
	stride  uint32

	// Owned by the loop's goroutine; each embedded part is in a file with its methods
	slab
	sockets
	secure
	connects
	leaves
	reopens
	churn
	slowReaders
	positions
	inbox
	refusals
	proxy
	ledger    account.Ledger
	frames    frameReader       // of the client being read, between its messages
	now       int64             // ns, read after each read and at each turn
	addresses []account.Address // as many as the target has; nil: one
	movers    []uint32          // slots with the moving flag
	ending    bool              // the run closes everything
	up        int               // ready clients
	moversUp  int               // of them with the moving flag
	parting   int               // closed by the run and not gone yet
	counters  account.Counters
	wasReady  []uint64 // a bit for each slot
	tallies   account.Tallies
	recorder  account.Recorder
	latest    int64 // of the last delivery, ns
	busySince int64 // when the present batch began, 0 between batches
	busy      int64 // ns spent in batches
	lastScan  int64 // for deadlines

	// Guarded by showing
	showing sync.Mutex
	shown   account.Totals

	// Atomic
	ticking atomic.Bool // a tick is posted and has not run
	paced   atomic.Bool // something is to happen at its time: ticks come often
}

// newLoop returns a loop for its share of the plan's clients, not started.
func newLoop(e *Engine, index, stride int) (*loop, error) {
	// Loops take turns, and so do the processes of a run.
	index, stride = index*e.plan.Members+e.plan.Member, stride*e.plan.Members
	n := plan.Share(e.plan.Connections, index, stride)
	l := &loop{
		plan:      e.plan,
		engine:    e,
		index:     uint32(index),
		stride:    uint32(stride),
		slab:      slab{clients: make([]client, n)},
		ledger:    account.NewLedger(n * e.plan.ChannelSet.PerClient()),
		frames:    newFrameReader(),
		wasReady:  make([]uint64, (n+63)/64),
		tallies:   account.NewTallies(),
		recorder:  account.NewRecorder(),
		addresses: newAddresses(&e.plan.Target),
	}
	l.sockets = sockets{l: l, in: make([]byte, readBuffer)}
	l.secure.l, l.connects.l, l.leaves.l, l.churn.l, l.slowReaders.l = l, l, l, l, l
	l.positions.l, l.inbox.l, l.refusals.l, l.proxy.l = l, l, l, l
	l.reopens = reopens{l: l, backoff: e.plan.Backoff, most: max(e.plan.BackoffMost, e.plan.Backoff)}
	if e.plan.Resume || slices.Contains(e.plan.Kinds, plan.Poll) {
		l.keepPositions()
	}
	if e.plan.Proxy != "" {
		l.foundProxy(e.plan.Proxy)
	}
	if e.plan.Foreign {
		l.heard = make([]uint64, (n*e.plan.ChannelSet.PerClient()+63)/64)
	}
	l.assign(e.plan.Roles)
	if e.plan.TLS != nil {
		l.secure.conns = tlsclient.New(e.plan.TLS, n)
	}
	var err error
	l.reactor, err = reactor.New(l)
	return l, err
}

// number returns the client in a slot.
func (l *loop) number(slot uint32) uint32 { return slot*l.stride + l.index }

// kind returns the transport of a client.
func (l *loop) kind(slot uint32) plan.Transport { return l.plan.Kind(l.number(slot)) }

// subscription returns the number of a client's k-th subscription in the loop.
func (l *loop) subscription(slot uint32, k int) uint32 {
	return slot*uint32(l.plan.ChannelSet.PerClient()) + uint32(k)
}

// Ready implements reactor.Handler.
func (l *loop) Ready(k reactor.Key, ev reactor.Events) {
	if l.busySince == 0 {
		l.busySince = l.engine.Clock.Now()
	}
	c := &l.clients[k.Slot]
	if c.gen != k.Gen || c.state == waiting || c.state == gone {
		return
	}
	if (c.state == connecting || c.state == renewing) && !l.handshaking(k.Slot) {
		l.connected(k.Slot)
		return
	}
	if ev&reactor.Out != 0 && !l.flush(k.Slot) {
		return
	}
	if ev&(reactor.In|reactor.Hup) != 0 {
		l.read(k.Slot, len(l.in))
	}
}

// Turn implements reactor.Handler: connects and leaves in slices, and shows
// the rest of the program how far things are.
func (l *loop) Turn() (more bool) {
	l.now = l.engine.Clock.Now()
	if l.busySince == 0 {
		l.busySince = l.now
	}
	more = l.connectSlice()
	more = l.leaveSlice() || more
	more = l.churnSlice() || more
	more = l.reopenSlice() || more
	l.paced.Store(l.connects.active || l.leaves.active || l.churning() || l.recovering || len(l.queue) > 0)
	l.show()
	end := l.engine.Clock.Now()
	l.busy += end - l.busySince
	l.busySince = 0
	return more
}

// show publishes the totals if they changed.
func (l *loop) show() {
	c := &l.counters
	c.Delivered, c.Duplicated, c.Reordered = l.ledger.Delivered, l.ledger.Duplicated, l.ledger.Reordered
	t := account.Totals{Settled: c.Settled(), Open: c.Open, Delivered: c.Delivered,
		Moved: c.Moved, Returned: c.Returned, Cut: c.Cut, Heard: int64(c.Heard),
		Away: int64(len(l.proxy.away)), Up: int64(l.up), MoversUp: int64(l.moversUp), Leaving: int64(l.parting), Latest: l.latest}
	if l.leaves.active {
		t.Leaving += int64(l.leaves.limit - l.leaves.next)
	}
	l.showing.Lock()
	changed := t != l.shown
	l.shown = t
	l.showing.Unlock()
	if changed {
		l.engine.Signals.Notify()
	}
}

// scanEvery is the time between two looks at the deadlines.
const scanEvery = int64(100 * time.Millisecond)

// tick runs as a post: it keeps the pace going, which Turn does, and gives up
// clients that are past their deadline.
func (l *loop) tick() {
	l.ticking.Store(false)
	l.now = l.engine.Clock.Now()
	l.redial()
	if l.now-l.lastScan < scanEvery {
		return
	}
	l.lastScan = l.now
	l.trickle()
	for _, s := range l.scratches {
		if !s.used || s.deadline == 0 || l.now < s.deadline {
			continue
		}
		switch {
		case l.clients[s.client].state == joining && !s.welcomed && l.kind(s.client) == plan.WebSocket:
			l.end(s.client, account.ReasonWelcome)
		case l.clients[s.client].state == joining:
			l.end(s.client, account.ReasonSubscribe)
		case !l.refuseEnded(s.client):
			l.end(s.client, account.ReasonTimeout)
		}
	}
}

// transport is the client's side of one form of the wire. It keeps nothing per
// client: that is in the loop's slab and scratches. Its methods run on the
// loop's goroutine and must not block.
type transport interface {
	// appendRequest appends the request that opens the client in slot i.
	appendRequest(l *loop, dst []byte, i uint32) []byte
	// received takes the bytes p received for client i, which belong to the loop. It reports to
	// the loop: opened, confirmed, message, fail, end.
	received(l *loop, i uint32, p []byte)
}

// transport returns the transport of a client.
func (l *loop) transport(slot uint32) transport {
	switch l.kind(slot) {
	case plan.SSE:
		return sse{}
	case plan.Poll:
		return poll{}
	}
	return websocket{}
}

// assign gives a loop's clients their parts.
func (l *loop) assign(c plan.Roles) {
	for k, number := range c.Order {
		if uint32(number)%l.stride != l.index {
			continue
		}
		part := &l.clients[uint32(number)/l.stride]
		if k < c.Movers {
			part.flags |= moving
			l.movers = append(l.movers, uint32(number)/l.stride)
		} else {
			part.flags |= slow
			l.slowReaders.slots = append(l.slowReaders.slots, uint32(number)/l.stride)
		}
	}
}
