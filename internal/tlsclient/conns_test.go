package tlsclient

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// A handshake that is given up leaves no coroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serverConfig has a certificate for 127.0.0.1 and example.com, signed by an authority that pool
// holds.
func serverConfig() (config *tls.Config, pool *x509.CertPool) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool = x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS, pool
}

// dialed is a connection in slot 1 that reads pieces of the server's bytes.
type dialed struct {
	*Conns
	net.Conn
	piece int // the most bytes received at a time
	held  []byte
	data  []byte // opened
}

const slot = 1

// dial connects to a server that has a goroutine of its own, which the test ends.
func dial(t *testing.T, config *tls.Config, piece int, serve func(c net.Conn)) *dialed {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}) // closed by the server's goroutine
	go func() {
		defer close(done)
		defer far.Close()
		serve(far)
	}()
	deadline := time.Now().Add(20 * time.Second)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	d := &dialed{Conns: New(config, 2), Conn: near, piece: piece}
	t.Cleanup(func() {
		d.Forget(slot)
		near.Close()
		<-done
	})
	return d
}

// shake carries out the handshake.
func (d *dialed) shake() error {
	var p []byte
	for {
		send, rest, done, err := d.Handshake(slot, p)
		if len(send) > 0 {
			d.Write(send)
		}
		if err != nil {
			return err
		}
		if done {
			return d.take(rest)
		}
		if p, err = d.receive(); err != nil {
			return err
		}
	}
}

func (d *dialed) receive() ([]byte, error) {
	p := make([]byte, d.piece)
	n, err := d.Conn.Read(p)
	return p[:n], err
}

// take opens received bytes, and sends a key update if one is owed.
func (d *dialed) take(p []byte) error {
	data, rest, err := d.Open(slot, append(d.held, p...))
	d.data = append(d.data, data...)
	d.held = bytes.Clone(rest)
	if err != nil {
		d.Write(d.AlertFor(slot, err))
		return err
	}
	owed, err := d.Owed(slot)
	d.Write(owed)
	return err
}

// send seals and sends.
func (d *dialed) send(t *testing.T, p []byte) {
	t.Helper()
	out, err := d.Seal(slot, p)
	if err == nil {
		_, err = d.Write(bytes.Clone(out))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// await reads until n bytes of data came.
func (d *dialed) await(n int) error {
	for len(d.data) < n {
		p, err := d.receive()
		if err == nil {
			err = d.take(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// suites are a server's kinds.
var suites = map[string]struct{ version, suite uint16 }{
	"1.3":          {tls.VersionTLS13, 0},
	"1.2 AES-128":  {tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	"1.2 AES-256":  {tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
	"1.2 ChaCha20": {tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
}

// Servers by crypto/tls echo all data, however their records are cut.
func TestEcho(t *testing.T) {
	server, pool := serverConfig()
	client := &tls.Config{RootCAs: pool, ServerName: "example.com"}
	for name, s := range suites {
		for piece, sizes := range map[int][]int{1: {1, 300}, 7: {1, 3000}, 1000: {1, 100_000}, 1 << 17: {1, 16 << 10, 16<<10 + 1, 300_000}} {
			config := server.Clone()
			config.MaxVersion = s.version
			if s.suite != 0 {
				config.CipherSuites = []uint16{s.suite}
			}
			d := dial(t, client, piece, func(c net.Conn) {
				secured := tls.Server(c, config)
				io.Copy(struct{ io.Writer }{secured}, struct{ io.Reader }{secured})
				secured.Close()
			})
			if err := d.shake(); err != nil {
				t.Fatalf("%s in pieces of %d: %v", name, piece, err)
			}
			if d.Handshaking(slot) {
				t.Error("the handshake is done and in progress")
			}
			for _, size := range sizes {
				sent := bytes.Repeat([]byte{byte(size), byte(size >> 8), 3}, size)[:size]
				d.data = d.data[:0]
				d.send(t, sent)
				if err := d.await(size); err != nil || !bytes.Equal(d.data, sent) {
					t.Fatalf("%s in pieces of %d: %d bytes of %d came, %v", name, piece, len(d.data), size, err)
				}
			}
			// The peer's end, upon ours.
			d.Conn.(*net.TCPConn).CloseWrite()
			if err := d.await(len(d.data) + 1); err != io.EOF {
				t.Errorf("%s in pieces of %d: the end is %v", name, piece, err)
			}
		}
	}
}

// A server's requests for key updates are answered under the old key, with and without data behind.
func TestKeyUpdates(t *testing.T) {
	server, pool := serverConfig()
	far := make(chan error, 1) // sent to once by the server
	d := dial(t, &tls.Config{RootCAs: pool, ServerName: "example.com"}, 11, func(c net.Conn) { far <- update(c, server) })
	if err := d.shake(); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= updates; n++ {
		if err := d.await(n); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			d.send(t, []byte{byte(n)})
		}
	}
	if err := <-far; err != nil {
		t.Error(err)
	}
}

const updates = 10

// update requests key updates, sends a byte behind each and reads the answers: the answer to an
// even one is followed by a byte.
func update(c net.Conn, config *tls.Config) error {
	w := wire{c}
	r, err := tlsrecord.NewHandshake(w, nil).Server(tlsrecord.ServerConfig(func() *tls.Config { return config }))
	if err != nil {
		return err
	}
	var l tlsrecord.Layer
	in := r.Rest
	for n := 1; n <= updates; n++ {
		out, err := l.AppendUpdate(nil, &r.State, r.Wide, true)
		if err == nil {
			out, _, err = l.AppendData(out, &r.State, r.Wide, [][]byte{{byte(n)}}, 0)
		}
		if err != nil {
			return err
		}
		w.Send(out)
		for want := 1 + (n+1)%2; want > 0; { // records
			size, err := tlsrecord.RecordSize(in)
			if err != nil {
				return err
			}
			if size == 0 || size > len(in) {
				more, err := w.Receive()
				if err != nil {
					return err
				}
				in = append(in, more...)
				continue
			}
			data, _, err := l.Receive(in[:size], &r.State, r.Wide)
			if err != nil {
				return err
			}
			if update := n%2 == 1 || want == 2; update != (len(data) == 0) {
				return errors.New("no answer to a key update")
			}
			in = in[size:]
			want--
		}
	}
	return nil
}

// wire is a Wire over a connection.
type wire struct{ net.Conn }

func (w wire) Receive() ([]byte, error) {
	p := make([]byte, 4096)
	n, err := w.Read(p)
	return p[:n], err
}

func (w wire) Send(p []byte) { w.Write(p) }

// Handshakes fail with the errors of crypto/tls, and the server is told.
func TestRefused(t *testing.T) {
	server, pool := serverConfig()
	tests := map[string]struct {
		client  *tls.Config
		server  func(c *tls.Config)
		isFault func(err error) bool
	}{
		"authority": {&tls.Config{ServerName: "example.com", RootCAs: x509.NewCertPool()}, func(*tls.Config) {},
			func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
		"name": {&tls.Config{ServerName: "push.example", RootCAs: pool}, func(*tls.Config) {},
			func(err error) bool { return errors.As(err, new(x509.HostnameError)) }},
		"no AEAD": {&tls.Config{InsecureSkipVerify: true}, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		}, func(err error) bool { return err.Error() == "remote error: tls: handshake failure" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			config := server.Clone()
			tt.server(config)
			far := make(chan error, 1) // sent to once by the server
			d := dial(t, tt.client, 4096, func(c net.Conn) { far <- tls.Server(c, config).Handshake() })
			if err := d.shake(); err == nil || !tt.isFault(err) {
				t.Errorf("%v", err)
			}
			if err := <-far; err == nil {
				t.Error("the server was not told")
			}
			if d.Handshaking(slot) {
				t.Error("the handshake has failed and is in progress")
			}
		})
	}
}

// The server learns of a bad record.
func TestAlertFor(t *testing.T) {
	server, pool := serverConfig()
	far := make(chan error, 1) // sent to once by the server
	d := dial(t, &tls.Config{RootCAs: pool, ServerName: "example.com"}, 4096, func(c net.Conn) {
		secured := tls.Server(c, server)
		if err := secured.Handshake(); err != nil {
			far <- err
			return
		}
		c.Write([]byte("\x17\x03\x03\x00\x20 this is no record of the keys.."))
		_, err := secured.Read(make([]byte, 1))
		far <- err
	})
	if err := d.shake(); err != nil {
		t.Fatal(err)
	}
	if err := d.await(1); err != tlsrecord.AlertBadRecordMAC {
		t.Errorf("the client found %v", err)
	}
	if err := <-far; err == nil || err.Error() != "remote error: tls: bad record MAC" {
		t.Errorf("the server was told %v", err)
	}
}

// A slot is used again, at any point of a connection.
func TestForget(t *testing.T) {
	server, pool := serverConfig()
	c := New(&tls.Config{RootCAs: pool, ServerName: "example.com"}, 2)
	for range 3 {
		if send, _, done, err := c.Handshake(slot, nil); len(send) == 0 || done || err != nil {
			t.Fatalf("%d bytes, done %t, %v", len(send), done, err)
		}
		if !c.Handshaking(slot) {
			t.Error("no handshake is in progress")
		}
		c.Forget(slot)
	}
	d := dial(t, c.config, 4096, func(c net.Conn) { tls.Server(c, server).Write([]byte("hello")) })
	d.Conns = c
	if err := d.shake(); err != nil {
		t.Fatal(err)
	}
	if err := d.await(5); err != nil || string(d.data) != "hello" {
		t.Errorf("%q, %v", d.data, err)
	}
	d.Forget(slot)
	if len(c.handshakes)+len(c.wide) > 0 || c.states[slot] != (tlsrecord.State{}) {
		t.Error("something is left of a connection")
	}
}
