package conn

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
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

// clientHello returns the first bytes of a client.
func clientHello(t testing.TB) []byte {
	t.Helper()
	near, far := net.Pipe()
	go func() { // ends once near is closed
		tls.Client(far, &tls.Config{ServerName: "localhost"}).Handshake()
		far.Close()
	}()
	defer near.Close()
	b := make([]byte, maxAhead)
	n, err := near.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
