package conn

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// patience is more than any handshake of a test takes.
const patience = 20 * time.Second

// run starts the loop of an owner for handshakes with real clients. From then on the test sees the
// owner by do.
func (w *owner) run(config *tls.Config) {
	w.t.Helper()
	w.secure = true
	w.handshakesWith(config)
	if err := w.loop.Start(func(err error) { w.t.Error(err) }); err != nil {
		w.t.Fatal(err)
	}
}

// handshakesWith sets the server's configuration.
func (w *owner) handshakesWith(config *tls.Config) {
	w.shared.TLS.Use(func() *tls.Config { return config }, 1)
}

// do runs fn on the loop.
func (w *owner) do(fn func()) {
	w.t.Helper()
	done := make(chan struct{}) // closed by the loop
	if !w.loop.Post(func() { defer close(done); fn() }) {
		w.t.Fatal("the loop has ended")
	}
	<-done
}

// adopt adds a TLS connection that has sent nothing yet and, if it's rejected, may have no slot.
func (w *owner) adopt(from netip.AddrPort) *peer {
	w.t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &peer{w: w, fd: fds[1], slot: w.Acceptor.Adopt(fds[0], from, true)}
	w.t.Cleanup(p.close)
	return p
}

// dial is adopt while the loop runs. It returns the client's side.
func (w *owner) dial(from netip.AddrPort) (i uint32, c *net.UnixConn) {
	w.t.Helper()
	var p *peer
	w.do(func() { p = w.adopt(from) })
	f := os.NewFile(uintptr(p.fd), "client")
	p.fd = -1
	defer f.Close()
	dup, err := net.FileConn(f)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { dup.Close() })
	dup.SetDeadline(time.Now().Add(patience))
	return p.slot, dup.(*net.UnixConn)
}

// named is a client that a proxy names.
var (
	proxyAddr = netip.MustParseAddrPort("127.0.0.2:4000")
	named     = "PROXY TCP4 192.0.2.1 192.0.2.9 5000 443\r\n"
)

// behindProxy has an owner accept one client an address, of those that a proxy names.
func (w *owner) behindProxy() {
	w.t.Helper()
	trusted, err := proxy.ParseNetworks([]string{"127.0.0.2"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.options.Trusted, w.options.ProxyProtocol, w.options.PerAddress = trusted, proxy.V1, 1
}

// A client of an address over its limit gets its response over TLS, within the time that it has
// from its rejection on: its handshake doesn't prolong that.
func TestOverAddressOverTLS(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Minute})
	w.behindProxy()
	w.run(serverConfig(t, newAuthority(t)))
	for n, over := range []bool{false, true} {
		i, c := w.dial(proxyAddr)
		due := func() (at uint32) { w.do(func() { at, _ = w.Clock.Due(i) }); return at }
		io.WriteString(c, named)
		var rejected, latest uint32
		w.do(func() {
			w.Reading.Now(i)
			rejected, latest = uint32(w.Acceptor.RejectedTLS()), w.Clock.Now()+RejectTicks
		})
		if rejected != uint32(n) {
			t.Fatalf("of %d clients %d are rejected", n+1, rejected)
		}
		at := due()
		client := tls.Client(c, anyCertificate)
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		gatewaytest.Eventually(t, "the handshake is complete", func() (done bool) {
			w.do(func() { done = w.Slots.at(i).flags&flagShaking == 0 })
			return done
		})
		if !over {
			continue
		}
		if at > latest || due() > at {
			t.Errorf("its time is up at %d, after its handshake at %d; at most %d", at, due(), latest)
		}
		w.do(func() {
			if n := w.shared.Connections.Load(); n != 1 {
				t.Errorf("%d connections are counted", n)
			}
		})
		io.WriteString(client, "please")
		if got, err := io.ReadAll(client); string(got) != "no" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// A step of its handshake doesn't prolong the time of a client that is rejected, with or without a
// wait for a place.
func TestRejectedHandshakeKeepsItsTime(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Second})
	w.handshakesWith(serverConfig(t, newAuthority(t)))
	w.options.MaxConnections = 0
	w.adopt(netip.AddrPort{})
	w.adopt(netip.AddrPort{})
	w.Tick(5)
	hello := gatewaytest.ClientHello(t)
	for i := range w.Acceptor.rejectedTLS {
		before, _ := w.Clock.Due(i)
		w.Secure.shake(i, w.Slots.at(i), hello)
		if after, ok := w.Clock.Due(i); !ok || after != before {
			t.Errorf("its time is up at %d, before its hello at %d", after, before)
		}
	}
	if running, waiting := w.Admission.Handshakes(); running != 1 || waiting != 1 {
		t.Errorf("%d handshakes and %d that wait", running, waiting)
	}
}

// Rejected clients get so many handshakes in a second and no more, however fast they come and go.
func TestRejectedHandshakesHaveARate(t *testing.T) {
	for name, byProxy := range map[string]bool{"accepted": false, "named by a proxy": true} {
		t.Run(name, func(t *testing.T) {
			w := newOwner(t, Options{FirstRequest: time.Minute})
			from, held := netip.AddrPort{}, 0
			if byProxy {
				w.behindProxy()
				from, held = proxyAddr, 1
				p := w.adopt(from)
				syscall.Write(p.fd, []byte(named))
				w.Reading.Now(p.slot)
			} else {
				w.options.MaxConnections = 0
			}
			const clients = 10 * rejectedTLSPerSecond
			begin, slots := time.Now(), 0
			for range clients {
				p := w.adopt(from)
				if byProxy {
					syscall.Write(p.fd, []byte(named))
					w.Reading.Now(p.slot)
				}
				for i := range w.Acceptor.rejectedTLS {
					slots++
					w.Release(i, reasons.CloseRejected)
				}
				w.Reap()
				p.close()
			}
			most := rejectedTLSPerSecond + int(time.Since(begin).Seconds()*rejectedTLSPerSecond) + 1
			if slots < rejectedTLSPerSecond || slots > most {
				t.Errorf("%d of %d have got a slot, at most %d may", slots, clients, most)
			}
			if n := w.Stats().Closes[reasons.CloseRejected]; n != clients || w.Slots.Len() != held || w.shared.Connections.Load() != int64(held) {
				t.Errorf("%d are closed, %d slots and %d connections are left", n, w.Slots.Len(), w.shared.Connections.Load())
			}
		})
	}
}

// All that clients send in a handshake counts as input until it ends, also what crypto/tls has taken,
// and past the bound those with the most are closed.
func TestHandshakesCountAsInput(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Minute, Handshakes: 2})
	w.handshakesWith(serverConfig(t, newAuthority(t)))
	// The start of a message of 60,000 bytes in a whole record, and its middle.
	start := append([]byte{byte(tlsrecord.TypeHandshake), 3, 1, 0x10, 0, 1, 0, 0xea, 0x60}, make([]byte, 0x1000-4)...)
	middle := append([]byte{byte(tlsrecord.TypeHandshake), 3, 1, 0x10, 0}, make([]byte, 0x1000)...)
	var peers []*peer
	for n := range 3 { // the last one waits for a place
		p := w.adopt(netip.AddrPort{})
		peers = append(peers, p)
		p.send(start, false)
		for range 2 - n {
			p.send(middle, false)
		}
	}
	if running, waiting := w.Admission.Handshakes(); running != 2 || waiting != 1 {
		t.Fatalf("%d handshakes and %d that wait", running, waiting)
	}
	const sent = 6 * (0x1000 + tlsrecord.HeaderSize)
	if n, _ := w.Input.Used(); n != 3 || w.Input.bytes < sent || w.Input.bytes > sent+3*2048 {
		t.Errorf("%d bytes of %d clients are counted of %d sent", w.Input.bytes, n, sent)
	}
	w.options.TotalInputBytes = sent
	syscall.Write(peers[1].fd, middle[:1])
	w.Reading.Now(peers[1].slot) // which makes room at once, not at the end of the turn
	if n := w.Stats().TLSFailures[reasons.TLSOverload]; n != 1 || w.closed[peers[0].slot] != reasons.CloseTLS {
		t.Errorf("%d are closed for it: %v", n, w.closed)
	}
	if w.Input.bytes > sent*3/4 {
		t.Errorf("%d bytes are counted once it's closed", w.Input.bytes)
	}
	for _, p := range peers[1:] {
		w.Release(p.slot, reasons.CloseReset)
	}
	w.Reap()
	if n, bytes := w.Input.Used(); n != 0 || bytes != 0 || w.shared.Inputs.Load() != 0 {
		t.Errorf("%d bytes of %d clients are counted once they are gone", bytes, n)
	}
}

// A completed handshake isn't counted as input any more.
func TestCompletedHandshakesAreNotCounted(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Minute})
	w.run(serverConfig(t, newAuthority(t)))
	_, c := w.dial(netip.AddrPort{})
	client := tls.Client(c, anyCertificate)
	w.do(func() { w.reply = []byte("reply") })
	io.WriteString(client, "request")
	if _, err := io.ReadFull(client, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	w.do(func() {
		if n, bytes := w.Input.Used(); n != 0 || bytes != 0 || len(w.Secure.handshakes) != 0 {
			t.Errorf("%d bytes of %d clients are counted", bytes, n)
		}
	})
}
