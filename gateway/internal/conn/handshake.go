package conn

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// A handshake is crypto/tls's, which blocks: it has a goroutine of its own while it lasts, and 31 to
// 43 KB of memory. So it begins only once the client's hello is whole and there is a place, see
// Admission. The loop alone reads and writes.

// Handshaking is the state that the handshakes of all sets share.
type Handshaking struct {
	// Immutable
	config *tls.Config
	tokens tokens

	// Atomic
	Completed atomic.Uint64 // or failed
}

// Use sets the configuration of handshakes, which each of them asks for anew, before the first of so
// many loops runs.
func (h *Handshaking) Use(current func() *tls.Config, loops int) {
	h.config = tlsrecord.ServerConfig(current)
	h.tokens = newTokens(loops)
}

// Handshake is a kind of completed handshake.
type Handshake struct {
	Version uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Resumed bool
}

// Handshakes lists all kinds, so that each has a counter.
var Handshakes = []Handshake{{tls.VersionTLS12, false}, {tls.VersionTLS13, false}, {tls.VersionTLS13, true}}

// handshake is one in flight. It is the tlsrecord.Wire of its goroutine.
type handshake struct {
	// Immutable
	secure *Secure
	key    reactor.Key
	tokens tokens

	// Owned by the loop
	asked uint32 // tick of its begin, or at which it last had the client go on
	held  int    // bytes counted for Options.TotalInputBytes

	// Owned by its goroutine
	out []byte // for the client

	// Guarded by mu
	mu     sync.Mutex
	in     []byte // of the client
	err    error  // no more will come
	full   bool   // reading is paused until in is taken
	waits  bool   // it has taken all that has come, and needs more
	posted int    // functions that the loop hasn't run yet, without which the client can't go on

	wake chan struct{} // has room for one; sent to by the loop, received by the goroutine
}

// maxAhead is the number of bytes that a client may send ahead of its handshake.
const maxAhead = tlsrecord.MaxRecord

// shake takes bytes of a connection whose handshake isn't complete.
func (t *Secure) shake(i uint32, c *socket, p []byte) {
	if h := t.handshakes[i]; h != nil {
		if h.feed(p) {
			t.set.Reading.Pause(i)
		}
		return
	}
	kept := c.flags&flagInput != 0
	if kept {
		p = t.set.Input.Keep(i, p, 0)
	}
	n, err := tlsrecord.RecordSize(p)
	switch {
	case c.flags&flagWaiting != 0:
		if len(p) > maxAhead {
			t.fail(i, c, reasons.TLSNotTLS)
		}
		return
	case p[0] >= 'A' && p[0] <= 'Z': // a method of HTTP
		t.count(reasons.TLSPlain)
		if c.flags&flagRejected != 0 {
			t.set.release(i, c, reasons.CloseRejected)
			return
		}
		t.set.Input.Detach(i)
		c.flags &^= flagSecure | flagShaking
		t.set.handler.PlainOnTLS(i)
		return
	case tlsrecord.Type(p[0]) != tlsrecord.TypeHandshake, err != nil:
		t.fail(i, c, reasons.TLSNotTLS)
		return
	case n > 0 && n <= len(p) && t.set.Admission.hasPlace():
		t.start(i, c, p, kept)
		return
	case n > 0 && n <= len(p):
		t.set.Admission.enqueue(i, c)
	}
	if !kept {
		t.set.Input.Keep(i, p, 0)
	}
}

// start begins a handshake with the client's first bytes. own says that they are the handshake's.
// Its goroutine ends with the handshake, which the connection's end or close ends; close waits for it.
func (t *Secure) start(i uint32, c *socket, hello []byte, own bool) {
	if !own {
		hello = append([]byte(nil), hello...)
	}
	h := &handshake{secure: t, key: t.set.Slots.Key(i), asked: t.set.Clock.now, tokens: t.set.shared.TLS.tokens, wake: make(chan struct{}, 1)}
	if t.handshakes == nil {
		t.handshakes = make(map[uint32]*handshake)
	}
	t.handshakes[i] = h
	h.hold(cap(hello))
	t.set.Input.Detach(i)
	if c.flags&flagRejected == 0 {
		t.set.Clock.Set(i, t.set.Clock.now+Ticks(t.set.options.FirstRequest))
	}
	t.set.Admission.running++
	config := t.set.shared.TLS.config
	t.workers.Go(func() {
		r, err := h.run(config, hello)
		out := h.out
		t.set.loop.Post(func() { t.done(h, out, &r, err) })
	})
}

// run carries out the handshake. A panic in it costs one client its connection.
func (h *handshake) run(config *tls.Config, hello []byte) (r tlsrecord.Result, err error) {
	h.tokens.take()
	defer func() {
		h.tokens.give()
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in crypto/tls: %v", p)
		}
	}()
	if err := h.ended(); err != nil { // while it waited for the token
		return r, err
	}
	return tlsrecord.NewHandshake(h, hello).Server(config)
}

// ended returns why no more bytes will come, nil while they may.
func (h *handshake) ended() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in) > 0 {
		return nil
	}
	return h.err
}

// Receive implements tlsrecord.Wire: it waits for the client, without a token.
func (h *handshake) Receive() ([]byte, error) {
	h.tokens.give()
	defer h.tokens.take()
	if out := h.out; len(out) > 0 {
		h.out = nil
		h.post(func() { h.secure.send(h, out) })
	}
	for {
		h.mu.Lock()
		in, err, full := h.in, h.err, h.full
		h.in, h.full = nil, false
		h.waits = len(in) == 0 && err == nil
		h.mu.Unlock()
		if full {
			h.post(func() { h.secure.resume(h) })
		}
		switch {
		case len(in) > 0:
			return in, nil
		case err != nil:
			return nil, err
		}
		<-h.wake
	}
}

// post has the loop do something that lets the client go on.
func (h *handshake) post(do func()) {
	h.mu.Lock()
	h.posted++
	h.mu.Unlock()
	h.secure.set.loop.Post(func() { h.deliver(do) })
}

// deliver runs a posted function on the loop. The client's time to go on begins.
func (h *handshake) deliver(do func()) {
	h.mu.Lock()
	h.posted--
	h.mu.Unlock()
	h.asked = h.secure.set.Clock.now
	do()
}

// blocked reports whether it waits for the client, and not for the loop or a processor.
func (h *handshake) blocked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waits && h.posted == 0
}

// Send implements tlsrecord.Wire.
func (h *handshake) Send(p []byte) { h.out = append(h.out, p...) }

// hold counts n bytes, which may be negative, against Options.TotalInputBytes. What crypto/tls has
// taken counts until the handshake ends: it may be the start of a message, of up to 64 KB or, with a
// certificate, 256 KB. Incomplete messages of 60 KB take 1.1 times the counted bytes, besides the
// memory of any handshake.
func (h *handshake) hold(n int) {
	h.held += n
	h.secure.set.Input.Hold(h.key.Slot, n)
}

// feed passes bytes of the client on, and reports whether that's enough for now.
func (h *handshake) feed(p []byte) (full bool) {
	h.hold(len(p))
	h.mu.Lock()
	h.in = appendTight(h.in, p, maxAhead)
	h.full = len(h.in) >= maxAhead
	h.waits = false
	full = h.full
	h.mu.Unlock()
	h.signal()
	return full
}

// end has the handshake fail once it needs more bytes. io.EOF is the end of the client's side: what
// has come before it still counts. With any other error the connection is closed.
func (h *handshake) end(err error) {
	h.mu.Lock()
	if err != io.EOF {
		h.in = nil
	}
	if h.err == nil {
		h.err = err
	}
	h.waits = false
	h.mu.Unlock()
	if err != io.EOF {
		h.hold(-h.held)
	}
	h.signal()
}

// signal wakes the goroutine if it waits for the client.
func (h *handshake) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// of returns the connection of a handshake, nil if it's closed.
func (t *Secure) of(h *handshake) *socket {
	c := t.set.Slots.find(h.key.Slot, h.key.Gen)
	if c == nil || c.state != stateOpen {
		return nil
	}
	return c
}

// send sends bytes of a handshake.
func (t *Secure) send(h *handshake, out []byte) {
	if c := t.of(h); c != nil && len(out) > 0 {
		t.putLast(h.key.Slot, c, out, nil)
	}
}

// resume reads on from a client that had sent far ahead.
func (t *Secure) resume(h *handshake) {
	if t.of(h) != nil {
		t.set.Reading.Resume(h.key.Slot)
	}
}

// done ends a handshake: the connection is ready for requests, or closed.
func (t *Secure) done(h *handshake, out []byte, r *tlsrecord.Result, err error) {
	i := h.key.Slot
	if t.handshakes[i] == h {
		delete(t.handshakes, i)
		h.hold(-h.held)
	}
	t.set.shared.TLS.Completed.Add(1)
	defer t.set.Admission.leave()
	var reason reasons.TLS
	if err != nil {
		reason = failure(err, out)
	}
	if reason != reasons.TLSPeerAlert { // after its alert the client is told nothing (RFC 8446, 6.2)
		t.send(h, out)
	}
	c := t.of(h)
	if c == nil {
		return
	}
	if err != nil {
		t.trace(i, err)
		t.fail(i, c, reason)
		return
	}
	t.set.stats.Handshakes[Handshake{r.Version, r.Resumed}]++
	t.begin(i, c, r)
	if c.flags&flagRejected != 0 {
		t.set.Clock.Forward(i, t.set.Clock.now+MuteTicks)
	} else {
		t.set.Clock.Set(i, t.set.Clock.now+Ticks(t.set.options.FirstRequest))
	}
	t.set.hear(c)
	t.set.Reading.Resume(i)
	if rest := append(r.Rest[:len(r.Rest):len(r.Rest)], h.in...); len(rest) > 0 { // its goroutine has ended
		t.set.Out.Cork(i)
		t.open(i, c, rest)
		t.set.Out.Uncork(i)
		t.set.Input.bound()
	}
}

// begin takes the keys of a completed handshake into use.
func (t *Secure) begin(i uint32, c *socket, r *tlsrecord.Result) {
	*t.states.At(i) = r.State
	if r.Wide != nil {
		*t.wides.Take(i) = *r.Wide
	}
	if r.Peer != nil {
		if t.subjects == nil {
			t.subjects = make(map[uint32]string)
		}
		t.subjects[i] = strings.Clone(r.Peer.Subject.CommonName)
	}
	c.flags &^= flagShaking
	c.flags |= flagSilent
}

// due handles the deadline of a handshake.
func (t *Secure) due(i uint32, c *socket) { t.fail(i, c, reasons.TLSTimeout) }

// left handles the end of the client's side before its handshake is complete.
func (t *Secure) left(i uint32, c *socket) {
	if c.state != stateOpen { // why it failed was counted
		t.set.release(i, c, reasons.CloseTLS)
		return
	}
	if h := t.handshakes[i]; h != nil { // all that it needs may have come before
		t.set.Reading.Pause(i) // or the end would be reported again and again
		h.end(io.EOF)
		return
	}
	t.count(reasons.TLSLeft)
	t.set.release(i, c, reasons.CloseTLS)
}

// fail closes a connection whose handshake fails.
func (t *Secure) fail(i uint32, c *socket, reason reasons.TLS) {
	t.count(reason)
	if h := t.handshakes[i]; h != nil {
		h.end(net.ErrClosed)
	}
	if c.state == stateOpen {
		t.set.Finish(i, reasons.CloseTLS)
	}
}

// trace logs why a handshake failed.
func (t *Secure) trace(i uint32, err error) {
	if t.set.log.Enabled(context.Background(), slog.LevelDebug) {
		t.set.log.Debug("the TLS handshake failed", "err", err, "connection", t.set.ID(i), "address", t.set.Addrs.Of(i))
	}
}

// close ends all handshakes and waits for their goroutines. The loop must have ended.
func (t *Secure) close() {
	for _, h := range t.handshakes {
		h.end(net.ErrClosed)
	}
	t.workers.Wait()
}
