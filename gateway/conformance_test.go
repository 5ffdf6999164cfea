package gateway_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway"
)

// The conformance tests hold a running gateway to RFC 6455 over raw sockets. They follow the
// Autobahn test suite, the usual measure of WebSocket servers: a test's name is the id of its case,
// and the suite's OK is required. Behaviour that it accepts as NON-STRICT is a failure here, but
// named.

// conformance is one case: a client's frames, and the expected response.
type conformance struct {
	send []string // frames
	chop int      // bytes a write; 0: all frames in one
	want []string // messages and pongs, as tester.listen notes them
	code int      // the gateway must end the connection with it; 0: the client ends it with 1000
	// lax says that silence in place of want would be NON-STRICT: failing a connection may drop the
	// output just before.
	lax bool
}

// alone as a chop sends every byte by itself and waits until it has been read.
const alone = -1

// perFrame as a chop does the same with every frame.
const perFrame = -2

// echoing runs a gateway with the echo endpoint.
func echoing(t testing.TB) *instance {
	return start(t, func(c *gateway.Config) { c.Debug.Echo = true; withDefaultRates(c) })
}

func (in *instance) conform(t *testing.T, cases map[string]conformance) {
	for id, c := range cases {
		t.Run(id, func(t *testing.T) { in.check(t, c) })
	}
}

// check plays one case.
func (in *instance) check(t *testing.T, c conformance) {
	t.Helper()
	p := in.tester(t, "/debug/echo")
	send := c.send
	if c.code == 0 {
		send = append(slices.Clip(send), masked(fin|8, "\x03\xe8"))
	}
	sent := make(chan error, 1)
	if c.chop < 0 {
		sent <- p.writeSlowly(in, send, c.chop)
	} else {
		go func() { sent <- p.write(strings.Join(send, ""), c.chop) }()
	}
	got := p.listen(t)
	p.Close()
	if err := <-sent; err != nil && c.code == 0 {
		t.Errorf("cannot send: %v", err)
	}
	if !slices.Equal(got.said, c.want) {
		verdict := "FAILED"
		if c.lax && len(got.said) == 0 {
			verdict = "NON-STRICT"
		}
		t.Errorf("%s: heard %s, want %s", verdict, brief(got.said), brief(c.want))
	}
	want := c.code
	if want == 0 {
		want = 1000
	}
	if got.code != want {
		t.Errorf("closed with %d %q, want %d", got.code, got.reason, want)
	}
	if got.err != io.EOF {
		t.Errorf("the stream ends with %v", got.err)
	}
}

// brief shortens long messages for printing.
func brief(said []string) string {
	var out []string
	for _, s := range said {
		if len(s) > 40 {
			s = fmt.Sprintf("%.40s… (%d bytes)", s, len(s))
		}
		out = append(out, s)
	}
	return fmt.Sprintf("%q", out)
}

// fin is the bit of a message's last frame.
const fin = 0x80

// key masks the frames of the tests.
var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// masked returns a masked frame; b0 is its first byte: bits and opcode.
func masked(b0 byte, payload string) string {
	return header(b0, len(payload)) + mask(payload)
}

// header returns the header of a masked frame.
func header(b0 byte, n int) string {
	b := []byte{b0, 0x80}
	switch {
	case n < 126:
		b[1] |= byte(n)
	case n <= 0xffff:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return string(append(b, key[:]...))
}

// mask returns a payload as it follows its header.
func mask(payload string) string {
	b := []byte(payload)
	ws.Cipher(b, key, 0)
	return string(b)
}

// fragments returns a message in fragments of at most size bytes.
func fragments(op byte, payload string, size int) []string {
	var out []string
	for len(payload) > size {
		out = append(out, masked(op, payload[:size]))
		payload, op = payload[size:], 0
	}
	return append(out, masked(fin|op, payload))
}

// tester is a client that may break every rule, and doesn't let the gateway
// break one.
type tester struct {
	net.Conn
	in         *bufio.Reader
	extensions string // that the gateway agreed to
}

// tester opens a WebSocket.
func (in *instance) tester(t testing.TB, path string) *tester {
	t.Helper()
	return newTester(t, in.raw(strings.Replace(upgradeHead, "/v1/ws", path, 1)))
}

// newTester reads the response to a handshake.
func newTester(t testing.TB, c net.Conn) *tester {
	t.Helper()
	p := &tester{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}
	r, err := http.ReadResponse(p.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != 101 {
		t.Fatalf("answered with %s", r.Status)
	}
	p.extensions = r.Header.Get("Sec-WebSocket-Extensions")
	return p
}

// write sends bytes, chop at a time.
func (p *tester) write(bytes string, chop int) error {
	if chop == 0 {
		chop = len(bytes)
	}
	for len(bytes) > 0 {
		n := min(chop, len(bytes))
		if _, err := io.WriteString(p, bytes[:n]); err != nil {
			return err
		}
		bytes = bytes[n:]
	}
	return nil
}

// writeSlowly sends single bytes or frames, each once the gateway has read the
// one before.
func (p *tester) writeSlowly(in *instance, frames []string, chop int) error {
	read := in.totals().bytesIn
	for _, f := range frames {
		for len(f) > 0 {
			n := len(f)
			if chop == alone {
				n = 1
			}
			if _, err := io.WriteString(p, f[:n]); err != nil {
				return err
			}
			f = f[n:]
			read += uint64(n)
			eventually(in.t, "it's read", func() bool { return in.totals().bytesIn >= read })
		}
	}
	return nil
}

// heard is the gateway's output up to the end of the stream.
type heard struct {
	said   []string // "text …", "binary …", "pong …"
	code   int      // of the close frame, 1005 for an empty one; 0: there was none
	reason string
	err    error // that ended the stream
}

// listen reads until the stream ends. It fails the test on anything RFC 6455 forbids a server.
func (p *tester) listen(t testing.TB) (h heard) {
	t.Helper()
	var op byte
	var message strings.Builder
	for {
		b0, payload, err := p.frame()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the stream doesn't end; heard %s", brief(h.said))
			}
			h.err = err
			return h
		}
		if h.code != 0 {
			t.Fatalf("frame %#x after the close frame", b0)
		}
		switch code := b0 & 0xf; {
		case b0&0x70 != 0:
			t.Fatalf("reserved bits in %#x", b0)
		case code >= 8 && (b0&fin == 0 || len(payload) > 125):
			t.Fatalf("control frame %#x of %d bytes", b0, len(payload))
		case code == 8:
			h.code = 1005
			if len(payload) > 0 {
				h.code, h.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			if !utf8.ValidString(h.reason) {
				t.Fatalf("reason %q", h.reason)
			}
		case code == 9:
			h.said = append(h.said, "ping "+string(payload))
		case code == 10:
			h.said = append(h.said, "pong "+string(payload))
		case (code == 0) != (op != 0) || code > 2:
			t.Fatalf("frame %#x inside a message of type %d", b0, op)
		default:
			if code != 0 {
				op = code
				message.WriteString(map[byte]string{1: "text ", 2: "binary "}[op])
			}
			message.Write(payload)
			if b0&fin != 0 {
				if op == 1 && !utf8.ValidString(message.String()) {
					t.Fatalf("text %q", message.String())
				}
				h.said = append(h.said, message.String())
				message.Reset()
				op = 0
			}
		}
	}
}

// frame reads one frame.
func (p *tester) frame() (b0 byte, payload []byte, err error) {
	var b [8]byte
	if _, err := io.ReadFull(p.in, b[:2]); err != nil {
		return 0, nil, err
	}
	b0 = b[0]
	n := uint64(b[1])
	least := uint64(0)
	switch {
	case n >= 0x80:
		return 0, nil, errors.New("a masked frame")
	case n == 126:
		_, err = io.ReadFull(p.in, b[6:])
		n, least = uint64(binary.BigEndian.Uint16(b[6:])), 126
	case n == 127:
		_, err = io.ReadFull(p.in, b[:])
		n, least = binary.BigEndian.Uint64(b[:]), 1<<16
	}
	if err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if n < least || n > gateway.MaxEcho {
		return 0, nil, fmt.Errorf("a length of %d", n)
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(p.in, payload); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return b0, payload, nil
}

// hear reads one message or control frame, which must be want.
func (p *tester) hear(t testing.TB, want string) {
	t.Helper()
	got := ""
	for {
		b0, payload, err := p.frame()
		if err != nil {
			t.Fatalf("%v in place of %q", err, want)
		}
		switch b0 & 0xf {
		case 1:
			got = "text "
		case 2:
			got = "binary "
		case 8:
			got = "close "
		case 10:
			got = "pong "
		}
		got += string(payload)
		if b0&fin != 0 {
			break
		}
	}
	if got != want {
		t.Fatalf("got %.80q, want %.80q", got, want)
	}
}
