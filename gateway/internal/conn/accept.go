package conn

import (
	"errors"
	"net/netip"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// listenerSlot is the first listener's key in the loop, from which the others count down;
// connections have smaller slots.
const listenerSlot = 1<<32 - 2

// maxListeners is the most listeners of a loop.
const maxListeners = 2

// AcceptsPerSlice is the number of connections accepted before other events get their turn.
const AcceptsPerSlice = 32

// Listener is a socket to accept connections from.
type Listener struct {
	*reactor.Listener
	TLS bool // its connections begin with a TLS handshake
}

// listening is a listener that a loop accepts from.
type listening struct {
	Listener
	key     reactor.Key
	paused  bool // it isn't watched until the next tick
	backlog bool // more connections may be waiting
}

// Acceptor takes connections off the listeners, and rejects those that are too many.
type Acceptor struct {
	set       *Set
	listeners []*listening // empty once closed
	rejected  rejected
	fullAt    uint32 // tick + 1 of the last warning that MaxConnections is reached
}

// watch adds a listener to the loop.
func (l *Acceptor) watch(from Listener) error {
	e := &listening{Listener: from, key: reactor.Key{Slot: listenerSlot - uint32(len(l.listeners))}}
	l.listeners = append(l.listeners, e)
	return l.set.loop.Add(e.FD(), e.key, reactor.In)
}

// ready handles the event of a listener.
func (l *Acceptor) ready(k reactor.Key) {
	if n := listenerSlot - k.Slot; int(n) < len(l.listeners) {
		l.accept(l.listeners[n])
	}
}

// accept takes connections off a listener's queue.
func (l *Acceptor) accept(e *listening) {
	e.backlog = false
	short := false // of descriptors
	start := time.Now()
	for range AcceptsPerSlice {
		if time.Since(start) > reactor.Slice {
			break
		}
		fd, peer, err := e.Accept()
		switch {
		case err == nil:
			l.Adopt(fd, peer, e.TLS)
		case err == reactor.ErrAgain:
			return
		case errors.Is(err, reactor.ErrDescriptors):
			l.set.stats.Exhausted++
			short = true
			l.closeAllRejected()
			l.set.shared.Limited.Warn(l.set.log, "out of file descriptors: rejecting connections",
				"err", err, "fix", "raise the limit on open files (ulimit -n, LimitNOFILE) or lower limits.connections; gateway doctor tells")
		default:
			l.set.shared.Limited.Warn(l.set.log, "cannot accept", "err", err)
			l.pause(e)
			return
		}
	}
	if short {
		l.pause(e)
		return
	}
	e.backlog = true
}

// more accepts more connections in each round of the loop. While a thousand clients send at
// the same time, the listener's event comes once for all of theirs, and the kernel's queue of 4,096
// connections would overflow: a client that finds it full retries after one second, then after two.
func (l *Acceptor) more() (more bool) {
	for _, e := range l.listeners {
		if e.backlog || !l.set.loop.AllTold() && !e.paused {
			l.set.Clock.wakeUp()
			l.accept(e)
		}
		more = more || e.backlog
	}
	return more
}

// Adopt turns an accepted socket, which is to begin with a TLS handshake or not, into a connection,
// or rejects it where a limit is reached. It returns the connection's slot, 0 for none.
func (l *Acceptor) Adopt(fd int, peer netip.AddrPort, secure bool) (i uint32) {
	l.set.stats.Accepts++
	if l.set.shared.Connections.Add(1) > int64(l.set.options.MaxConnections) {
		l.set.shared.Connections.Add(-1)
		l.warnFull()
		l.reject(fd, reasons.RejectConnections, secure)
		return 0
	}
	if !l.set.shared.accepts.Take(l.set.options.AcceptRate, l.set.shared.Uptime()) {
		l.set.shared.Connections.Add(-1)
		l.reject(fd, reasons.RejectAcceptRate, secure)
		return 0
	}
	i, c := l.set.Slots.take()
	c.fd, c.heard, c.born, c.state, c.flags = int32(fd), l.set.Clock.now, l.set.Clock.now, stateOpen, flagSilent
	if secure {
		c.flags |= flagSecure | flagShaking
	}
	if !l.set.Addrs.locate(i, c, peer) {
		l.set.shared.Connections.Add(-1)
		l.set.Addrs.forget(i)
		l.set.Slots.put(i)
		l.reject(fd, reasons.RejectAddress, secure)
		return 0
	}
	l.set.handler.Accepted(i)
	if err := l.set.loop.Add(fd, reactor.Key{Slot: i, Gen: c.gen}, reactor.In); err != nil {
		l.set.shared.Limited.Warn(l.set.log, "cannot watch a socket", "err", err)
		l.set.release(i, c, reasons.CloseInternal)
		return 0
	}
	l.set.Clock.wheel.Set(i, l.set.Clock.now+Ticks(l.set.options.FirstRequest))
	l.set.Reading.newcomers.add(reactor.Key{Slot: i, Gen: c.gen})
	return i
}

// warnFull logs that limits.connections is reached, at most once a tick: in a flood even a
// suppressed line would cost as much as the responses.
func (l *Acceptor) warnFull() {
	if l.fullAt == l.set.Clock.now+1 {
		return
	}
	l.fullAt = l.set.Clock.now + 1
	l.set.shared.Limited.Warn(l.set.log, "as many connections as allowed: rejecting more",
		"connections", l.set.options.MaxConnections, "fix", "raise limits.connections, and the limit on open files (ulimit -n, LimitNOFILE) with it; gateway doctor tells")
}

// pause unregisters the listener until the next tick: it stays readable while nothing can be
// accepted, and would keep the loop spinning.
func (l *Acceptor) pause(e *listening) {
	if err := l.set.loop.Del(e.FD()); err == nil {
		e.paused = true
	}
}

// resume ends the pauses.
func (l *Acceptor) resume() {
	for _, e := range l.listeners {
		if e.paused && l.set.loop.Add(e.FD(), e.key, reactor.In) == nil {
			e.paused = false
		}
	}
}

// Stop accepts the connections the kernel has completed already, which closing the listeners
// would reset, and closes them.
func (l *Acceptor) Stop() {
	for _, e := range l.listeners {
		for {
			fd, peer, err := e.Accept()
			if err != nil {
				break
			}
			l.Adopt(fd, peer, e.TLS)
		}
		e.Close()
	}
	l.listeners = nil
}

// close closes the listeners.
func (l *Acceptor) close() {
	for _, e := range l.listeners {
		e.Close()
	}
	l.listeners = nil
}
