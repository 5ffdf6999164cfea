package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/reactor"
	"github.com/pushgate/pushgate/internal/tlsrecord"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// still is a shard whose loop doesn't run: the test is the loop, and the clock.
type still struct {
	*shard
	t    testing.TB
	date []byte
	buf  []byte

	layer tlsrecord.Layer // of its clients
}

func newStill(t testing.TB, change func(*Config)) *still {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.Shards = "127.0.0.1:0", "", 1
	cfg.Socket.IOUring = *IOUringOfTests
	cfg.Limits.MessagesPerSecond, cfg.Limits.PublishesPerSecond, cfg.Limits.NewChannelsPerSecond = 0, 0, 0
	if change != nil {
		change(&cfg)
	}
	Secured(&cfg)
	cfg.Redis.URL = "redis://127.0.0.1:1" // never dialled: the broker isn't run
	srv, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Node: "still"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.close)
	return &still{shard: srv.shards[0], t: t, buf: make([]byte, 64<<10)}
}

// peer is the client's end of a connection to a still shard, over TLS with the flag -tls.
type peer struct {
	s    *still
	fd   int
	slot uint32
	gen  uint32

	tls   *tlsrecord.Result // its side of TLS, or nil
	rest  []byte            // start of a record
	ended bool              // close_notify came
}

// connect adds a connection that has sent nothing yet, but its handshake over TLS.
func (s *still) connect() *peer {
	s.t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &peer{s: s, fd: fds[1]}
	s.t.Cleanup(p.close)
	if p.slot = s.conns.Acceptor.Adopt(fds[0], netip.AddrPort{}, *TLSOfTests); p.slot == 0 {
		return p
	}
	p.gen = s.conns.Slots.Gen(p.slot)
	if *TLSOfTests {
		server, client, err := tlsrecord.Pair()
		if err != nil {
			s.t.Fatal(err)
		}
		p.tls = &client
		s.conns.Secure.Begin(p.slot, &server)
	}
	return p
}

// key is the connection's.
func (p *peer) key() reactor.Key { return reactor.Key{Slot: p.slot, Gen: p.gen} }

// close ends the client, once.
func (p *peer) close() {
	if p.fd >= 0 {
		syscall.Close(p.fd)
	}
	p.fd = -1
}

// open adds a WebSocket whose channels are live.
func (s *still) openWebSocket(channels ...string) *peer {
	s.t.Helper()
	p := s.connect()
	p.send([]byte(strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels="+strings.Join(channels, ","), 1)))
	for _, channel := range channels {
		s.inside().Joined(channel, fanout.Joined{})
	}
	if got := p.receive(); !strings.HasPrefix(string(got), "HTTP/1.1 101 ") || strings.Count(string(got), `"subscribed"`) != len(channels) {
		s.t.Fatalf("got %q", got)
	}
	return p
}

// write writes b, which the shard doesn't read yet.
func (p *peer) write(b []byte) {
	if p.tls != nil {
		b = p.seal(b)
	}
	if _, err := syscall.Write(p.fd, b); err != nil {
		p.s.t.Fatal(err)
	}
}

// seal returns the records with b.
func (p *peer) seal(b []byte) (records []byte) {
	for skip := 0; skip < len(b); {
		sealed, n, err := p.s.layer.AppendData(records, &p.tls.State, p.tls.Wide, [][]byte{b}, skip)
		if err != nil {
			p.s.t.Fatal(err)
		}
		records, skip = sealed, skip+n
	}
	return records
}

// send has the shard read b.
func (p *peer) send(b []byte) {
	p.write(b)
	if p.s.conns.Slots.Find(p.key()) {
		p.s.conns.Reading.Now(p.slot)
		p.s.conns.Reap()
	}
}

// auth has the shard handle a new token, outside of a read.
func (p *peer) auth(token string) {
	p.s.native.Data(p.slot, wsframe.Event{Kind: wsframe.Data, Op: ws.OpText, Final: true, Payload: fmt.Appendf(nil, `{"type":"auth","token":%q}`, token)})
}

// receive returns the shard's output, valid until the next call: nil if there is none, and an empty
// slice at the end of the stream.
func (p *peer) receive() []byte {
	for {
		kept := copy(p.s.buf, p.rest)
		n, err := syscall.Read(p.fd, p.s.buf[kept:])
		if err == syscall.EAGAIN {
			return nil
		}
		if err != nil {
			p.s.t.Fatal(err)
		}
		if p.tls == nil || n == 0 {
			return p.s.buf[:n]
		}
		if got := p.open(p.s.buf[:kept+n]); len(got) > 0 || p.ended {
			return got
		}
	}
}

// open returns the data of sealed output, and keeps an incomplete record.
func (p *peer) open(b []byte) []byte {
	data, rest, err := p.s.layer.Receive(b, &p.tls.State, p.tls.Wide)
	p.ended = err == io.EOF
	if err != nil && !p.ended {
		p.s.t.Fatal(err)
	}
	p.rest = append(p.rest[:0], rest...)
	return data
}

// queueBytes returns the memory of all queues.
func (s *still) queueBytes() int64 { _, bytes := s.conns.Out.Used(); return bytes }

// queueCount returns the number of queues.
func (s *still) queueCount() int { n, _ := s.conns.Out.Used(); return n }

// inputCount returns the number of connections with kept input.
func (s *still) inputCount() int { n, _ := s.conns.Input.Used(); return n }

// flush has the shard write to a peer that has read.
func (p *peer) flush() { p.s.Ready(p.key(), reactor.Out) }

// configure changes the shard's settings.
func (s *still) configure(change func(*settings)) {
	set := *s.cfg
	change(&set)
	set.conns.TotalQueueBytes, set.clients.QueueBytes = set.Limits.TotalQueueBytes, set.Limits.QueueBytes
	s.use(&set)
}

// to moves the clock.
func (s *still) to(tick uint32) {
	s.beat(tick, time.Now(), s.date)
	for s.Turn() {
	}
}

// frame returns a client's frame.
func frame(op ws.OpCode, payload string) []byte {
	return wsframe.AppendMasked(nil, op, []byte(payload), [4]byte{1, 2, 3, 4})
}

const stillSecret = "a secret of more than thirty-two bytes"

// withStillTokens makes a gateway require stillToken's tokens.
func withStillTokens(c *Config) {
	c.Auth.Mode, c.Auth.JWT.Secret = auth.ModeJWT, stillSecret
}

// stillToken issues a token to subscribe.
func stillToken(t testing.TB, channels ...string) string {
	t.Helper()
	return mint(t, auth.Claims{Subject: "u", Subscribe: channels})
}

func mint(t testing.TB, claims auth.Claims) string {
	t.Helper()
	key, err := auth.JWTConfig{Secret: stillSecret}.SigningKey("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := auth.Mint(claims, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// openAs adds a WebSocket with a token, or none, whose channels are live.
func (s *still) openAs(token string, channels ...string) *peer {
	s.t.Helper()
	p := s.connect()
	path := "/v1/ws?channels=" + strings.Join(channels, ",")
	if token != "" {
		path += "&token=" + token
	}
	p.send([]byte(strings.Replace(upgradeHead, "/v1/ws", path, 1)))
	for _, channel := range channels {
		s.inside().Joined(channel, fanout.Joined{})
	}
	p.receive()
	return p
}

// deliver has the subscribers of a channel get a message of a size.
func (s *still) deliver(channel string, seq uint32, size int) {
	s.t.Helper()
	ch, ok := s.hub.Channels.Index.Lookup([]byte(channel))
	if !ok {
		s.t.Fatalf("nobody has channel %s", channel)
	}
	s.hub.Channels.Index.Publish(ch, message.New(channel, message.Position{Node: "still", Seq: uint64(seq)}, seq, []byte(strings.Repeat("x", size))))
	for s.Turn() {
	}
}

const upgradeHead = "GET /v1/ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// An idle client that responds to pings is charged for nothing, even with the default limits.
func TestIdleClientsHaveNoRates(t *testing.T) {
	s := newStill(t, func(c *Config) { c.Limits = DefaultConfig().Limits; slowBeat(c) })
	p := s.openWebSocket("news")
	pinged, _ := s.conns.Clock.Due(p.slot)
	for s.hub.Stats.Pings == 0 {
		s.to(pinged)
		pinged++
	}
	p.send(frame(ws.OpPong, ""))
	if s.limits.Sends(p.slot) {
		t.Error("a pong that was asked for is counted")
	}
	p.send(frame(ws.OpPong, ""))
	if !s.limits.Sends(p.slot) {
		t.Error("a pong that nobody asked for is not counted")
	}
}

// A pong behind a handshake is charged for, whatever the client before it was asked.
func TestPongBehindAHandshakeIsCounted(t *testing.T) {
	s := newStill(t, func(c *Config) { c.Limits = DefaultConfig().Limits; slowBeat(c) })
	p := s.openWebSocket("news")
	at, _ := s.conns.Clock.Due(p.slot)
	for ; s.hub.Stats.Pings == 0; at++ {
		s.to(at)
	}
	p.send(frame(ws.OpText, `{"type":"ping"}`)) // in place of a pong
	next := s.connect()
	next.send(append([]byte(upgradeHead), frame(ws.OpPong, "")...))
	if !s.limits.Sends(next.slot) {
		t.Error("it is not counted")
	}
}

// All that is held for a client goes when it is evicted, whatever it has begun: the next one is
// evicted only if that isn't enough.
func TestEvictedClientsHoldNothing(t *testing.T) {
	for name, begun := range map[string]string{
		"a head":    "GET /v1/sse?channels=a HTTP/1.1\r\nHost: a\r\n",
		"a body":    "POST /v1/poll HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
		"a message": upgradeHead + "\x81\xfe\x10\x00\x00\x00\x00\x00{",
		"a token":   strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=a", 1),
		"behind":    "GET /v1/poll?channels=a HTTP/1.1\r\nHost: a\r\n\r\nGET /",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, func(c *Config) {
				if name == "a token" {
					withStillTokens(c)
				}
			})
			p := s.connect()
			p.send([]byte(begun))
			if n, bytes := s.conns.Input.Used(); n != 1 || bytes == 0 {
				t.Fatalf("%d inputs of %d bytes are kept", n, bytes)
			}
			s.http.Events.EvictInput(p.slot)
			s.conns.Input.Free(p.slot)
			if n, bytes := s.conns.Input.Used(); n != 0 || bytes != 0 {
				t.Errorf("%d inputs of %d bytes are left", n, bytes)
			}
		})
	}
}
