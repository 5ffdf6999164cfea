package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// goroutines serves each connection by a goroutine that reads, without net/http:
// the upgrade is gobwas/ws's own. Messages are written by one goroutine for each
// CPU, pings by a timer for each connection.
type goroutines struct {
	// Immutable
	events   bool
	interval time.Duration
	parts    []*part

	next atomic.Uint32 // part for the next connection
}

// part is the connections that one goroutine writes to.
type part struct {
	messages chan []byte // sent by publish, received by the part's goroutine; never closed

	// Guarded by mu
	mu    sync.Mutex
	conns map[*peer]struct{}
}

// peer is one connection.
type peer struct {
	net.Conn

	mu sync.Mutex // held while something is written
}

func newGoroutines(t transport, interval time.Duration) (made, error) {
	return prepareGoroutines(t, interval), nil
}

func prepareGoroutines(t transport, interval time.Duration) *goroutines {
	g := &goroutines{events: t == eventsTransport, interval: interval}
	for range runtime.GOMAXPROCS(0) {
		p := &part{messages: make(chan []byte, 256), conns: map[*peer]struct{}{}}
		g.parts = append(g.parts, p)
		go p.run() // ends with the process
	}
	return g
}

// encode returns a message as it is written to every connection.
func (g *goroutines) encode(text []byte) ([]byte, error) {
	if g.events {
		return append(append([]byte("data: "), text...), "\n\n"...), nil
	}
	return ws.CompileFrame(ws.NewTextFrame(text))
}

func (g *goroutines) publish(text []byte) error {
	message, err := g.encode(text)
	if err != nil {
		return err
	}
	for _, p := range g.parts {
		p.messages <- message
	}
	return nil
}

func (p *part) run() {
	for message := range p.messages {
		p.mu.Lock()
		for c := range p.conns {
			if c.write(message) != nil {
				delete(p.conns, c)
				c.Close() // which ends its goroutine
			}
		}
		p.mu.Unlock()
	}
}

// write gives up on a client that does not read.
func (c *peer) write(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Write(message)
	return err
}

func (g *goroutines) serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go g.serveConn(&peer{Conn: conn}) // ends when the client does
	}
}

// serveConn takes the handshake and reads until the client is gone.
func (g *goroutines) serveConn(c *peer) {
	read, ping := g.upgrade(c)
	if read == nil {
		c.Close()
		return
	}
	g.hold(c, read, ping)
}

// hold has messages and heartbeats written to a client until read fails.
func (g *goroutines) hold(c *peer, read func() error, ping []byte) {
	defer c.Close()
	p := g.parts[int(g.next.Add(1))%len(g.parts)]
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	var timer *time.Timer
	timer = time.AfterFunc(g.interval, func() {
		if c.write(ping) == nil {
			timer.Reset(g.interval)
		}
	})
	defer timer.Stop()
	for read() == nil {
	}
}

// upgrade answers the handshake. It returns how to read from the client, nil
// when it failed, and the heartbeat.
func (g *goroutines) upgrade(c *peer) (read func() error, ping []byte) {
	if g.events {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return nil, nil
		}
		c.write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"))
		var rest [1]byte
		return func() error { _, err := c.Read(rest[:]); return err }, []byte(": ping\n\n")
	}
	if _, err := ws.Upgrade(c.Conn); err != nil {
		return nil, nil
	}
	return g.frames(c), heartbeat
}

// heartbeat is a ping of a WebSocket.
var heartbeat = ws.MustCompileFrame(ws.NewPingFrame(nil))

// frames returns how to read a frame from a client.
func (g *goroutines) frames(c *peer) func() error {
	return func() error {
		c.SetReadDeadline(time.Now().Add(2 * g.interval))
		header, err := ws.ReadHeader(c)
		if err == nil {
			_, err = io.CopyN(io.Discard, c, header.Length)
		}
		if header.OpCode == ws.OpClose {
			err = io.EOF
		}
		return err
	}
}
