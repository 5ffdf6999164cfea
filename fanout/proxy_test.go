package fanout

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between a broker and its server, and can part them while the
// server goes on serving others.
type proxy struct {
	target   string
	rate     int // bytes a second from the server over each connection; 0: no bound
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	parted bool
	conns  map[net.Conn]struct{}
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	return startSlowProxy(t, target, 0)
}

// startSlowProxy starts one with a rate.
func startSlowProxy(t testing.TB, target string, rate int) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, rate: rate, listener: l, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.part()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

// part closes all connections, present and future.
func (p *proxy) part() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parted = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// join lets connections through again.
func (p *proxy) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parted = false
}

// keep registers a connection unless they are parted.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parted {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = c.Close()
	delete(p.conns, c)
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.keep(c) {
			p.wg.Go(func() { p.serve(c) })
		}
	}
}

func (p *proxy) serve(c net.Conn) {
	defer p.drop(c)
	s, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(s) {
		return
	}
	defer p.drop(s)
	p.wg.Go(func() {
		_, _ = io.Copy(s, c)
		p.drop(s)
	})
	_, _ = io.Copy(slowWriter{c, p.rate}, s)
}

// slowWriter takes the time that its rate asks for.
type slowWriter struct {
	io.Writer
	rate int
}

func (w slowWriter) Write(b []byte) (int, error) {
	if w.rate > 0 {
		time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(w.rate))
	}
	return w.Writer.Write(b)
}
