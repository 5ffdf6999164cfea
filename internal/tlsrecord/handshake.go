package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
)

// Wire carries the bytes of a handshake.
type Wire interface {
	// Receive returns the peer's next bytes, which become the handshake's; it may block. Its error
	// ends the handshake.
	Receive() ([]byte, error)
	// Send takes bytes for the peer, which must be copied to be kept. It must not block.
	Send(p []byte)
}

// Result is a completed handshake.
type Result struct {
	State   State
	Wide    *Wide  // nil unless State.IsWide
	Rest    []byte // received behind the handshake, still to be opened
	Version uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Resumed bool
	Peer    *x509.Certificate // verified, nil if none was asked for
}

// Handshake is one side of a handshake by crypto/tls over a Wire. It hands out no byte beyond the
// record that is wanted, so that what belongs to the application stays here.
type Handshake struct {
	net.Conn // nil: a handshake only reads and writes
	wire     Wire
	in       []byte // received, not yet read
	left     int    // bytes of the present record that were not read yet; it is whole
	client   bool
	suite    uint16 // of the server's hello, 0 before it

	// The secrets, as crypto/tls logs them
	clientRandom, serverRandom, master []byte // of TLS 1.2
	clientSecret, serverSecret         []byte // of TLS 1.3

	proof  proof
	failed error
	alert  error // a PeerAlert that came in clear
}

// NewHandshake returns a handshake that begins with bytes that were received already.
func NewHandshake(wire Wire, in []byte) *Handshake { return &Handshake{wire: wire, in: in} }

// ServerConfig returns the configuration for the server's side of many handshakes. Each of them uses
// the present result of current, except for session ticket keys: if that has none, those made here
// are shared by all.
func ServerConfig(current func() *tls.Config) *tls.Config {
	return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		h, ok := hello.Conn.(*Handshake)
		if !ok {
			return nil, errors.New("not a handshake of this package")
		}
		// The writer knows the connection. A client's random wouldn't tell it: the client chooses it.
		c := current().Clone()
		c.KeyLogWriter = (*keyLog)(h)
		only12 := true
		for _, v := range hello.SupportedVersions {
			only12 = only12 && v != tls.VersionTLS13
		}
		if only12 { // of a session resumed in TLS 1.2 no key is logged
			c.SessionTicketsDisabled = true
		}
		return c, nil
	}}
}

// Server carries out the server's side; config is made by ServerConfig. It blocks as its Wire does.
// After an error the client has been sent an alert, if it can understand one. The error of a fatal
// alert that came in clear is a PeerAlert: OpenSSL sends these also where TLS 1.3 wants them encrypted,
// and crypto/tls takes them for bad records.
func (h *Handshake) Server(config *tls.Config) (Result, error) {
	r, err := h.run(tls.Server(h, config))
	if err != nil && h.alert != nil {
		err = h.alert
	}
	return r, err
}

// Client carries out the client's side.
func (h *Handshake) Client(config *tls.Config) (Result, error) {
	h.client = true
	config = config.Clone()
	config.KeyLogWriter = (*keyLog)(h)
	config.ClientSessionCache = nil
	return h.run(tls.Client(h, config))
}

func (h *Handshake) run(c *tls.Conn) (r Result, err error) {
	if err := c.Handshake(); err != nil {
		return r, err
	}
	if h.failed != nil {
		return r, h.failed
	}
	now := c.ConnectionState()
	r.Version, r.Resumed, r.Rest = now.Version, now.DidResume, h.in
	if len(now.PeerCertificates) > 0 {
		r.Peer = now.PeerCertificates[0]
	}
	s := &r.State
	if s.suite, err = suiteOf(now.CipherSuite); err != nil {
		return r, err
	}
	if h.suite != now.CipherSuite {
		return r, errKeys
	}
	if h.client {
		s.flags |= flagClient
	}
	if now.Version == tls.VersionTLS12 {
		s.flags |= flag12
		if len(h.master) == 0 || len(h.serverRandom) == 0 {
			return r, errKeys
		}
		s.use12(h.master, h.clientRandom, h.serverRandom)
		return r, nil
	}
	out, in := h.serverSecret, h.clientSecret
	if h.client {
		out, in = in, out
	}
	if n := s.suite.hash()().Size(); len(out) != n || len(in) != n {
		return r, errKeys
	}
	if s.IsWide() {
		r.Wide = new(Wide)
	}
	s.outSeq = h.proof.n
	return r, s.use13(r.Wide, out, in)
}

var errKeys = errors.New("crypto/tls has logged no usable keys")

// Read implements net.Conn: it returns bytes of one record at a time.
func (h *Handshake) Read(p []byte) (int, error) {
	for {
		if h.left == 0 {
			n, err := RecordSize(h.in)
			if err != nil { // which crypto/tls sees by the header
				n = HeaderSize
			}
			if n <= len(h.in) {
				h.left = n
				h.noteHello(h.in[:n], false)
				h.noteAlert(h.in[:n])
			}
		}
		if n := min(h.left, len(p)); n > 0 {
			copy(p, h.in[:n])
			h.in = h.in[n:]
			h.left -= n
			return n, nil
		}
		more, err := h.wire.Receive()
		if err != nil {
			return 0, err
		}
		if len(h.in) == 0 {
			h.in = more
		} else {
			h.in = append(h.in[:len(h.in):len(h.in)], more...)
		}
	}
}

// Write implements net.Conn.
func (h *Handshake) Write(p []byte) (int, error) {
	h.noteHello(p, true)
	if err := h.prove(p); err != nil {
		h.failed = err
		return 0, err
	}
	h.wire.Send(p)
	return len(p), nil
}

// noteHello keeps the random and the cipher suite of the server's hello (RFC 5246, 7.4.1.3), or of
// its request for another hello, which has the same suite (RFC 8446, 4.1.4).
func (h *Handshake) noteHello(p []byte, written bool) {
	const (
		serverHello = 2
		random      = HeaderSize + 4 + 2
		session     = random + 32
	)
	if written == h.client || h.suite != 0 || len(p) <= session || Type(p[0]) != TypeHandshake || p[HeaderSize] != serverHello {
		return
	}
	suite := session + 1 + int(p[session])
	if len(p) < suite+2 {
		return
	}
	h.serverRandom = bytes.Clone(p[random:session])
	h.suite = binary.BigEndian.Uint16(p[suite:])
}

// noteAlert keeps a fatal alert in clear; one in a record of TLS 1.2 that is sealed is longer.
func (h *Handshake) noteAlert(p []byte) {
	if len(p) == HeaderSize+2 && Type(p[0]) == TypeAlert && p[HeaderSize] == levelFatal {
		h.alert = PeerAlert(p[HeaderSize+1])
	}
}

// keyLog is a Handshake as the writer of crypto/tls's key log.
type keyLog Handshake

// Write takes a line of the NSS key log format: label, client random and secret.
func (k *keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return 0, fmt.Errorf("a line of the key log with %d fields", len(fields))
	}
	value := make([]byte, hex.DecodedLen(len(fields[2])))
	if _, err := hex.Decode(value, fields[2]); err != nil {
		return 0, err
	}
	switch string(fields[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
		k.clientSecret = value
	case "SERVER_TRAFFIC_SECRET_0":
		k.serverSecret = value
	case "CLIENT_RANDOM":
		k.master = value
		k.clientRandom = make([]byte, hex.DecodedLen(len(fields[1])))
		if _, err := hex.Decode(k.clientRandom, fields[1]); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}
