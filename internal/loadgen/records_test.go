package loadgen

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// recordListener is a server's side of TLS by internal/tlsrecord: crypto/tls requests no key
// updates, and sends no records with faults.
type recordListener struct {
	net.Listener
	config *tls.Config
	every  int // request a key update before each so many writes; 0: never
	piece  int // the most bytes in one write to the socket; 0: all
	// last is sent when the server closes a connection; nil: nothing.
	last func(c *recordConn) ([]byte, error)

	answers atomic.Int64 // records without data that came, such as key updates
}

func (l *recordListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recordConn{Conn: c, of: l}, nil
}

// recordConn carries out its handshake with the first read.
type recordConn struct {
	net.Conn
	of   *recordListener
	once sync.Once

	// Guarded by mu
	mu       sync.Mutex
	layer    tlsrecord.Layer
	state    tlsrecord.State
	wide     *tlsrecord.Wide
	in, data []byte // sealed; opened and not yet read
	err      error  // of the input
	writes   int
}

// Receive and Send are the wire of the handshake.
func (c *recordConn) Receive() ([]byte, error) {
	p := make([]byte, 4096)
	n, err := c.Conn.Read(p)
	return p[:n], err
}

func (c *recordConn) Send(p []byte) { c.write(p) } // an error comes back by Receive

func (c *recordConn) handshake() {
	config := tlsrecord.ServerConfig(func() *tls.Config { return c.of.config })
	r, err := tlsrecord.NewHandshake(c, nil).Server(config)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.wide, c.in, c.err = r.State, r.Wide, r.Rest, err
}

func (c *recordConn) Read(p []byte) (int, error) {
	c.once.Do(c.handshake)
	for {
		if n, err := c.open(p); n > 0 || err != nil {
			return n, err
		}
		more, err := c.Receive()
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.in = append(c.in, more...)
		c.mu.Unlock()
	}
}

// open reads what has come.
func (c *recordConn) open(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.data) == 0 && c.err == nil {
		var data, rest []byte
		data, rest, c.err = c.layer.Receive(c.in, &c.state, c.wide)
		if len(data) == 0 && len(rest) < len(c.in) {
			c.of.answers.Add(1)
		}
		c.data, c.in = bytes.Clone(data), bytes.Clone(rest)
	}
	if len(c.data) == 0 {
		return 0, c.err
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

func (c *recordConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	var err error
	if c.writes++; c.of.every > 0 && c.writes%c.of.every == 0 {
		if out, err = c.layer.AppendUpdate(out, &c.state, c.wide, true); err != nil {
			return 0, err
		}
	}
	for rest := p; len(rest) > 0; {
		var n int
		if out, n, err = c.layer.AppendData(out, &c.state, c.wide, [][]byte{rest}, 0); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), c.write(out)
}

// write cuts p into pieces.
func (c *recordConn) write(p []byte) error {
	for len(p) > 0 {
		n := len(p)
		if c.of.piece > 0 {
			n = min(n, c.of.piece)
		}
		if _, err := c.Conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (c *recordConn) Close() error {
	c.mu.Lock()
	if c.of.last != nil && c.err == nil {
		if out, err := c.of.last(c); err == nil {
			c.write(out)
		}
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// startRecords starts a scripted server behind a recordListener, and returns a Config for a run.
func startRecords(t *testing.T, s *scripted, l *recordListener, clients, messages int) plan.Config {
	t.Helper()
	example := httptest.NewTLSServer(nil) // for its certificate
	example.Close()
	l.config = example.TLS
	l.Listener, s.Listener = s.Listener, l
	c := s.start(t, clients, messages)
	c.URL = strings.Replace(c.URL, "http", "https", 1)
	c.CA, c.Timeout = authorityFile(t, example.Certificate()), time.Minute
	return c
}

// All transports go on over key updates that the server requests, whose records come in pieces.
func TestSecureKeyUpdates(t *testing.T) {
	for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			s, l := newScripted(), &recordListener{every: 5, piece: 33}
			c := startRecords(t, s, l, 4, 30)
			c.Transport = transport
			r := mustFanout(t, s, c)
			want := figures{expected: 120, delivered: 120}
			if got := figuresOf(r); !r.Good() || got != want {
				t.Errorf("got %+v, want %+v, %+v, failed %q, %v", got, want, r.Counters, r.Failed, r.Losses)
			}
			if transport != plan.Poll && l.answers.Load() < 4 { // a poll's may come with its next request
				t.Errorf("%d answers to key updates", l.answers.Load())
			}
		})
	}
}

// The reason for a connection's end follows from the server's last record.
func TestSecureEnds(t *testing.T) {
	tests := map[string]struct {
		last func(c *recordConn) ([]byte, error)
		want account.Reason
	}{
		"nothing":      {nil, account.ReasonCut},
		"close_notify": {func(c *recordConn) ([]byte, error) { return c.layer.AppendClose(nil, &c.state, c.wide) }, account.ReasonCut},
		"alert": {func(c *recordConn) ([]byte, error) {
			return c.layer.AppendAlert(nil, &c.state, c.wide, tlsrecord.AlertInternalError)
		}, "TLS: remote error: tls: internal error"},
		"bad record": {func(c *recordConn) ([]byte, error) {
			out, _, err := c.layer.AppendData(nil, &c.state, c.wide, [][]byte{[]byte("hello")}, 0)
			out[len(out)-1] ^= 1
			return out, err
		}, "TLS: local error: tls: bad record MAC"},
		"plain text": {func(c *recordConn) ([]byte, error) { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), nil },
			"TLS: local error: tls: record overflow"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := newScripted(), &recordListener{last: tt.last}
			s.faults = func(subscriber, n int) fault {
				if subscriber == 1 && n == 3 {
					return cutOff
				}
				return deliver
			}
			c := startRecords(t, s, l, 2, 5)
			c.Timeout = 3 * time.Second
			r := mustFanout(t, s, c)
			if r.Counters.Lost != 1 || r.Losses[tt.want] != 1 {
				t.Errorf("lost %v, want %q", r.Losses, tt.want)
			}
		})
	}
}
