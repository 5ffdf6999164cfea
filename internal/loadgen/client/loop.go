package client

import (
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/reactor"
)

// readBuffer is what one read takes: a client that is behind gets its turn
// again with the next batch.
const readBuffer = 128 << 10

// closeWait is how long a server may take to close the stream after the close
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

	// Owned by the loop's goroutine
	clients       []client
	ledger        account.Ledger
	scratches     []*scratch
	freeScratches []uint32
	frames        frameReader // of the client being read, between its messages
	in            []byte      // what was read
	out           []byte      // what is being written
	now           int64       // ns, read after each read and at each turn
	connects      connects
	leaves        leaves
	reopens       reopens
	redials       []reactor.Key     // connects to a unix socket that are to be tried again
	addresses     []account.Address // as many as the target has; nil: one
	churn         churnState
	slow          slowState
	movers        []uint32 // slots with the moving flag
	proxy         proxyState
	tls           tlsState         // of TLS clients
	positions     positions        // nil: nobody's are kept
	cameBack      map[uint32]int64 // ns, when event streams of several channels resumed, by slot; nil as positions
	ending        bool             // the run closes everything
	up            int              // ready clients
	moversUp      int              // of them with the moving flag
	parting       int              // closed by the run and not gone yet
	counters      account.Counters
	wasReady      []uint64 // a bit for each slot
	heard         []uint64 // a bit for each subscription; nil: the server is a gateway
	tallies       account.Tallies
	recorder      account.Recorder
	latest        int64
	busySince     int64 // when the present batch began, 0 between batches
	busy          int64 // ns spent in batches
	lastScan      int64 // for deadlines

	// Guarded by showing
	showing sync.Mutex
	shown   account.Totals

	// Atomic
	ticking atomic.Bool // a tick is posted and has not run
}

// newLoop returns a loop for its share of the plan's clients, not started.
func newLoop(e *Engine, index, stride int) (*loop, error) {
	// Loops take turns, and so do the processes of a run.
	index, stride = index*e.plan.AgentCount+e.plan.AgentIndex, stride*e.plan.AgentCount
	n := max((e.plan.Connections-index+stride-1)/stride, 0)
	l := &loop{
		plan:      e.plan,
		engine:    e,
		index:     uint32(index),
		stride:    uint32(stride),
		clients:   make([]client, n),
		ledger:    account.NewLedger(n * e.plan.ChannelSet.PerClient()),
		frames:    newFrameReader(),
		in:        make([]byte, readBuffer),
		wasReady:  make([]uint64, (n+63)/64),
		tallies:   account.NewTallies(),
		recorder:  account.NewRecorder(),
		addresses: newAddresses(&e.plan.Target),
	}
	l.reopens.backoff, l.reopens.most = e.plan.Backoff, max(e.plan.BackoffMost, e.plan.Backoff)
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
	if e.plan.Tls != nil {
		l.tls = tlsState{config: e.plan.Tls, of: make([]*tlsConn, n), plain: make([]byte, readBuffer)}
	}
	var err error
	l.reactor, err = reactor.New(l)
	return l, err
}

// number returns the client in a slot.
func (l *loop) number(slot uint32) uint32 { return slot*l.stride + l.index }

// Ready implements reactor.Handler.
func (l *loop) Ready(k reactor.Key, ev reactor.Events) {
	if l.busySince == 0 {
		l.busySince = l.engine.Clock.Now()
	}
	c := &l.clients[k.Slot]
	if c.gen != k.Gen || c.state == waiting || c.state == gone {
		return
	}
	if (c.state == connecting || c.state == renewing) && (l.tls.config == nil || l.tls.of[k.Slot] == nil) {
		l.connected(k.Slot)
		return
	}
	if ev&reactor.Out != 0 && !l.flush(k.Slot) {
		return
	}
	if ev&(reactor.In|reactor.Hup) != 0 {
		l.read(k.Slot)
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
	t := account.Totals{Settled: c.Settled(), Ready: c.Ready, Lost: c.Lost, Open: c.Open, Delivered: c.Delivered,
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
		case l.clients[s.client].state == joining && !s.welcomed && l.plan.Kind(l.number(s.client)) == plan.WebSocket:
			l.end(s.client, account.ReasonWelcome)
		case l.clients[s.client].state == joining:
			l.end(s.client, account.ReasonSubscribe)
		case !l.refuseEnded(s.client):
			l.end(s.client, account.ReasonTimeout)
		}
	}
}

// read takes what came for a client.
func (l *loop) read(slot uint32) { l.readUpTo(slot, len(l.in)) }

// readUpTo takes no more than most bytes of it.
func (l *loop) readUpTo(slot uint32, most int) {
	c := &l.clients[slot]
	n, err := reactor.Read(int(c.fd), l.in[:most])
	l.now = l.engine.Clock.Now()
	switch err {
	case nil:
		l.counters.Bytes += uint64(n)
		if l.tls.config != nil {
			l.decrypt(slot, l.in[:n])
			return
		}
		l.transport(slot).received(l, slot, l.in[:n])
	case reactor.ErrAgain:
	default:
		l.streamEnded(slot, err)
	}
}

// streamEnded takes the end of what a client reads.
func (l *loop) streamEnded(slot uint32, err error) {
	reason := account.SocketReason(err)
	if reason == account.ReasonCut && l.clients[slot].state <= opening {
		reason = account.ReasonEarly
	}
	if err == io.EOF && l.plan.Kind(l.number(slot)) == plan.Poll && (poll{}).ended(l, slot) || l.refuseEnded(slot) {
		return
	}
	l.endOfStream(slot, reason)
}

// send writes p to a client. False: the client is gone.
func (l *loop) send(slot uint32, p []byte) bool {
	l.out = p[:0] // p was built on it and may have grown
	if l.tls.config != nil {
		p = l.encrypt(slot, p)
	}
	return l.transmit(slot, p)
}

// transmit writes bytes to a client's socket, keeping what the kernel refuses.
// False: the client is gone.
func (l *loop) transmit(slot uint32, p []byte) bool {
	c := &l.clients[slot]
	if c.flags&wantsOut == 0 {
		n, err := reactor.Write(int(c.fd), p)
		if err != nil && err != reactor.ErrAgain {
			l.end(slot, account.SocketReason(err))
			return false
		}
		if n == len(p) {
			return true
		}
		p = p[n:]
	}
	s := l.scratch(slot)
	s.out = append(s.out, p...)
	if c.flags&wantsOut == 0 {
		c.flags |= wantsOut
		return l.watch(slot, l.reads(slot)|reactor.Out)
	}
	return true
}

// flush writes what the kernel refused before. False: the client is gone.
func (l *loop) flush(slot uint32) bool {
	c := &l.clients[slot]
	s := l.heldScratch(slot)
	if c.flags&wantsOut == 0 || s == nil {
		return true
	}
	n, err := reactor.Write(int(c.fd), s.out)
	if err != nil && err != reactor.ErrAgain {
		l.end(slot, account.SocketReason(err))
		return false
	}
	s.out = append(s.out[:0], s.out[n:]...)
	if len(s.out) > 0 {
		return true
	}
	c.flags &^= wantsOut
	if !l.watch(slot, l.reads(slot)) {
		return false
	}
	l.tidy(slot)
	return true
}

// reads is what a client's socket is watched for while there is nothing to
// write.
func (l *loop) reads(slot uint32) reactor.Events {
	if c := &l.clients[slot]; l.slow.active && c.flags&slow != 0 && c.state == ready {
		return 0
	}
	return reactor.In
}

// watch changes what a client's socket is watched for.
func (l *loop) watch(slot uint32, ev reactor.Events) bool {
	c := &l.clients[slot]
	if err := l.reactor.Mod(int(c.fd), reactor.Key{Slot: slot, Gen: c.gen}, ev); err != nil {
		l.end(slot, account.ReasonUnregistered)
		return false
	}
	return true
}

// tidy gives a client's scratch back once nothing in it is needed.
func (l *loop) tidy(slot uint32) {
	s := l.heldScratch(slot)
	if s == nil || l.clients[slot].state != ready {
		return
	}
	if len(s.in) == 0 && len(s.out) == 0 && s.deadline == 0 && s.after == 0 && !s.bye && s.frames.Idle() && s.chunks.Idle() {
		l.releaseScratch(slot)
	}
}
