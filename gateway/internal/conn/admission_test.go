package conn

import (
	"crypto/tls"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// inProgress has the owner's handshakes be as many, and as many clients wait.
func (w *owner) inProgress(running, waiting int) {
	w.t.Helper()
	gatewaytest.Eventually(w.t, "the handshakes are in progress", func() (ok bool) {
		w.do(func() {
			r, n := w.Admission.Handshakes()
			ok = r == running && n == waiting
		})
		return ok
	})
}

// timeouts returns how many handshakes have timed out.
func (w *owner) timeouts() (n uint64) {
	w.do(func() { n = w.Stats().TLSFailures[reasons.TLSTimeout] })
	return n
}

// A client that doesn't go on with its handshake loses its place to one that waits, but neither to one that
// is gone nor because the loop has stood.
func TestStalledHandshakeEnds(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Hour, Handshakes: 1})
	w.run(serverConfig(t, newAuthority(t)))
	hello := gatewaytest.ClientHello(t)
	_, stalled := w.dial(netip.AddrPort{})
	stalled.Write(hello)
	if _, err := stalled.Read(make([]byte, 1)); err != nil { // it's up to the client now
		t.Fatal(err)
	}
	gone, c := w.dial(netip.AddrPort{})
	c.Write(hello)
	w.inProgress(1, 1)
	w.do(func() { w.Release(gone, reasons.CloseReset) })
	w.inProgress(1, 0)
	w.do(func() { w.pass(stalledTicks + 10) })
	if n := w.timeouts(); n != 0 {
		t.Fatalf("%d have timed out while nobody waits", n)
	}

	_, c = w.dial(netip.AddrPort{})
	served := make(chan error, 1) // sent to by the goroutine that ends with the handshake
	go func() { served <- tls.Client(c, anyCertificate).Handshake() }()
	w.inProgress(1, 1)
	w.do(func() { w.Tick(w.Clock.now + stalledTicks + 10) })
	if n := w.timeouts(); n != 0 {
		t.Fatalf("%d have timed out while the loop stood", n)
	}
	gatewaytest.Eventually(t, "the stalled one ends", func() bool {
		w.do(func() { w.pass(1) })
		return w.timeouts() == 1
	})
	if err := <-served; err != nil {
		t.Error("the client that waited:", err)
	}
	if _, err := io.Copy(io.Discard, stalled); err != nil {
		t.Error("the stalled one:", err)
	}
}

// shaking is an owner whose loop doesn't run, with a handshake in progress that waits for its client,
// and a further client that waits for its place.
func shaking(t *testing.T) (w *owner, h *handshake) {
	t.Helper()
	w = newOwner(t, Options{FirstRequest: time.Hour, Handshakes: 1})
	w.handshakesWith(serverConfig(t, newAuthority(t)))
	hello := gatewaytest.ClientHello(t)
	for range 2 {
		w.adopt(netip.AddrPort{}).send(hello, false)
	}
	if running, waiting := w.Admission.Handshakes(); running != 1 || waiting != 1 {
		t.Fatalf("%d handshakes and %d that wait", running, waiting)
	}
	for _, h = range w.Secure.handshakes {
	}
	gatewaytest.Eventually(t, "it waits for its client", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.waits
	})
	return w, h
}

// A client isn't late while the gateway's bytes for it are still to be sent, nor once it has gone on.
func TestHandshakeThatWaitsForTheLoop(t *testing.T) {
	w, h := shaking(t)
	w.pass(stalledTicks + 10)
	if n := w.Stats().TLSFailures[reasons.TLSTimeout]; n != 0 || h.blocked() {
		t.Errorf("%d have timed out before they were sent anything", n)
	}
	h.deliver(func() {})
	w.pass(stalledTicks)
	if n := w.Stats().TLSFailures[reasons.TLSTimeout]; n != 0 || !h.blocked() {
		t.Errorf("%d have timed out before they were late", n)
	}
	c := w.Secure.of(h)
	c.flags |= flagDemoted
	w.pass(1)
	if n := w.Stats().TLSFailures[reasons.TLSTimeout]; n != 0 {
		t.Errorf("%d have timed out before they were read from", n)
	}
	c.flags &^= flagDemoted
	w.pass(1)
	if n := w.Stats().TLSFailures[reasons.TLSTimeout]; n != 1 {
		t.Errorf("%d have timed out of one that is late", n)
	}
	for name, goesOn := range map[string]func(h *handshake){
		"bytes":   func(h *handshake) { h.feed([]byte{1}) },
		"its end": func(h *handshake) { h.end(io.EOF) },
	} {
		h := &handshake{secure: h.secure, key: h.key, waits: true, wake: make(chan struct{}, 1)} // without a goroutine
		if goesOn(h); h.blocked() {
			t.Error("it waits for its client, which has sent", name)
		}
	}
}

// A handshake begins for a client that waits once there are more places.
func TestMorePlacesForHandshakes(t *testing.T) {
	w, _ := shaking(t)
	more := *w.options
	more.Handshakes = 2
	w.Use(&more)
	if running, waiting := w.Admission.Handshakes(); running != 2 || waiting != 0 {
		t.Errorf("%d handshakes and %d that wait", running, waiting)
	}
}

// The list of waiting clients doesn't grow by those that leave: it is bounded by the number that still wait.
func TestClientsThatLeaveTheQueue(t *testing.T) {
	w, _ := shaking(t)
	hello := gatewaytest.ClientHello(t)
	for range 100 {
		p := w.adopt(netip.AddrPort{})
		p.send(hello, false)
		w.Release(p.slot, reasons.CloseReset)
		w.Reap()
		p.close()
	}
	if n := len(w.Admission.waiting); n > 2 || w.Admission.live != 1 {
		t.Errorf("%d are kept of %d that wait", n, w.Admission.live)
	}
}
