package tlsrecord

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// serverConfig is one for all tests of the package.
var serverConfig = sync.OnceValue(func() *tls.Config {
	config, err := ownConfig()
	if err != nil {
		panic(err)
	}
	return config
})

// clientConfig is of a client that offers one version and, in TLS 1.2, one suite.
func clientConfig(version uint16, suites ...uint16) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, CipherSuites: suites}
}

// socket is a Wire over a connection.
type socket struct{ net.Conn }

func (s socket) Receive() ([]byte, error) {
	b := make([]byte, 4096)
	n, err := s.Read(b)
	return b[:n], err
}

func (s socket) Send(p []byte) { s.Conn.Write(p) } // an error comes back by Receive

// peer is a connection that this package protects, driven by blocking calls.
type peer struct {
	net.Conn
	Result
	l    Layer
	in   []byte // sealed
	data []byte // opened and not read
	err  error  // of the input
}

// accept and dial carry out a handshake over a connection.
func accept(c net.Conn, config *tls.Config) (*peer, error) {
	r, err := NewHandshake(socket{c}, nil).Server(config)
	return &peer{Conn: c, Result: r, in: r.Rest}, err
}

func dial(c net.Conn, config *tls.Config) (*peer, error) {
	r, err := NewHandshake(socket{c}, nil).Client(config)
	return &peer{Conn: c, Result: r, in: r.Rest}, err
}

func (p *peer) Read(b []byte) (int, error) {
	for len(p.data) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		data, rest, err := p.l.Receive(p.in, &p.State, p.Wide)
		p.data, p.in, p.err = bytes.Clone(data), bytes.Clone(rest), err
		if len(p.data) > 0 || err != nil {
			continue
		}
		if p.State.Owes() {
			out, err := p.l.AppendOwed(nil, &p.State, p.Wide)
			if err != nil {
				return 0, err
			}
			p.Conn.Write(out)
		}
		more := make([]byte, 4096)
		n, err := p.Conn.Read(more)
		if err != nil {
			return 0, err
		}
		p.in = append(p.in, more[:n]...)
	}
	n := copy(b, p.data)
	p.data = p.data[n:]
	return n, nil
}

func (p *peer) Write(b []byte) (int, error) {
	var out []byte
	for rest := b; len(rest) > 0; {
		var n int
		var err error
		if out, n, err = p.l.AppendData(out, &p.State, p.Wide, [][]byte{rest}, 0); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	if _, err := p.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *peer) Close() error {
	if out, err := p.l.AppendClose(nil, &p.State, p.Wide); err == nil {
		p.Conn.Write(out)
	}
	return p.Conn.Close()
}

// sockets returns both ends of a TCP connection.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return a, b
}

// echo sends back all that comes.
func echo(c net.Conn) error {
	_, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
	return errors.Join(err, c.Close())
}

// suites are the kinds of connections that can be negotiated: TLS 1.3 chooses its suite by itself,
// so AES-256 and ChaCha20 are forced by the test's own secrets elsewhere.
var suites = map[string]struct {
	version uint16
	suites  []uint16
}{
	"1.3":          {version: tls.VersionTLS13},
	"1.2 AES-128":  {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
	"1.2 AES-256":  {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}},
	"1.2 ChaCha20": {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}},
}

func TestPeers(t *testing.T) {
	for name, c := range suites {
		for _, ours := range []string{"server", "client", "both"} {
			t.Run(name+"/"+ours, func(t *testing.T) {
				near, far := sockets(t)
				ended := make(chan error, 1)
				go func() {
					if ours == "client" {
						ended <- echo(tls.Server(far, serverConfig()))
						return
					}
					p, err := accept(far, ServerConfig(serverConfig))
					if err != nil {
						ended <- err
						return
					}
					ended <- echo(p)
				}()
				var conn net.Conn = tls.Client(near, clientConfig(c.version, c.suites...))
				if ours != "server" {
					p, err := dial(near, clientConfig(c.version, c.suites...))
					if err != nil {
						t.Fatal(err)
					}
					conn = p
				}
				for _, size := range []int{1, 100, MaxData, MaxData + 1, 100_000} {
					sent := make([]byte, size)
					rand.Read(sent)
					go conn.Write(sent)
					got := make([]byte, size)
					if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
						t.Fatalf("%d bytes: %v", size, err)
					}
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
				if err := <-ended; err != nil {
					t.Error("at the other side's end:", err)
				}
			})
		}
	}
}

// TestResumption resumes a session: its tickets are counted, and so are the records behind them.
func TestResumption(t *testing.T) {
	config := ServerConfig(serverConfig)
	client := clientConfig(tls.VersionTLS13)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	client.ServerName = "test"
	for try := range 3 {
		near, far := sockets(t)
		result := make(chan Result, 1)
		go func() {
			p, err := accept(far, config)
			if err != nil {
				t.Error(err)
			} else if err := echo(p); err != nil {
				t.Error(err)
			}
			result <- p.Result
		}()
		c := tls.Client(near, client)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if r := <-result; r.Resumed != (try > 0) {
			t.Errorf("try %d: resumed %t", try, r.Resumed)
		}
	}
	if t.Failed() {
		return
	}
	// Of a session resumed in TLS 1.2 there would be no keys, so there are no tickets.
	client = clientConfig(tls.VersionTLS12)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	client.ServerName = "test"
	for range 2 {
		near, far := sockets(t)
		go func() {
			if p, err := accept(far, config); err != nil {
				t.Error(err)
			} else {
				p.Close()
			}
		}()
		c := tls.Client(near, client)
		if err := c.Handshake(); err != nil || c.ConnectionState().DidResume {
			t.Errorf("TLS 1.2: %v, resumed %t", err, c.ConnectionState().DidResume)
		}
		c.Close()
	}
}

func TestCheck(t *testing.T) {
	if err := Check(); err != nil {
		t.Error(err)
	}
}
