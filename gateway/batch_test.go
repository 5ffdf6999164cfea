package gateway

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/reactor"
)

// ioUring is the way of all gateways under test, so that the whole suite can
// be run on both.
var ioUring = flag.String("io_uring", string(IOUringAuto), "socket.io_uring of the gateways under test: auto or off")

// ways runs a test with io_uring, where it is to be had, and without.
func ways(t *testing.T, test func(t *testing.T, way IOUring)) {
	t.Helper()
	for _, way := range []IOUring{IOUringAuto, IOUringOff} {
		t.Run(string(way), func(t *testing.T) {
			if way == IOUringAuto {
				probe, err := reactor.NewBatch()
				if err != nil {
					t.Skip(err)
				}
				probe.Close()
			}
			test(t, way)
		})
	}
}

// text is message n of a channel; every byte of it follows from channel and
// number.
func textOf(channel string, n int) string {
	r := rand.New(rand.NewPCG(uint64(len(channel)), uint64(n)))
	body := strings.Repeat(string(rune('a'+n%26)), r.IntN(1+r.IntN(12<<10)))
	return fmt.Sprintf("%s %d %s", channel, n, body)
}

// Clients on small buffers that read fast, slowly, or not for a while, and
// clients that die at any moment: those that live get every byte of every
// channel once and in order.
func TestStreamsStayWhole(t *testing.T) {
	const messages, perKind = 300, 20
	channels := []string{"one", "other"}
	ways(t, func(t *testing.T, way IOUring) {
		in := start(t, func(c *Config) {
			c.Socket.IOUring = string(way)
			c.Socket.SendBuffer = 2 << 10
			c.Limits.QueueBytes = 64 << 20
		}).ready()
		var readers sync.WaitGroup
		defer readers.Wait()
		read := func(c *client, pause func(n int)) {
			defer readers.Done()
			var next [2]int
			for n := 0; next != [2]int{messages, messages}; n++ {
				pause(n)
				c.SetReadDeadline(time.Now().Add(patience))
				_, text, err := c.ReadMessage()
				if err != nil {
					t.Errorf("the stream ends after %d messages: %v", n, err)
					return
				}
				for i, channel := range channels {
					if strings.HasPrefix(string(text), channel+" ") {
						if want := textOf(channel, next[i]); string(text) != want {
							t.Errorf("got %.40q (%d bytes) in place of %.40q (%d)", text, len(text), want, len(want))
							return
						}
						next[i]++
					}
				}
			}
		}
		path := "/v1/ws?format=raw&channels=" + strings.Join(channels, ",")
		var doomed []*client
		for i := range perKind {
			readers.Add(3)
			go read(in.dial(path), func(int) {})
			go read(in.dialLazy(path), func(n int) {
				if n%16 == i%16 {
					time.Sleep(time.Millisecond)
				}
			})
			go read(in.dialLazy(path), func(n int) {
				if n == 5+i {
					time.Sleep(200 * time.Millisecond)
				}
			})
			doomed = append(doomed, in.dialLazy(path))
		}
		clients := 4 * perKind
		eventually(t, "all are subscribed", func() bool { return in.totals().subscriptions == 2*clients })
		r := rand.New(rand.NewPCG(1, 2))
		for n := range messages {
			for _, channel := range channels {
				in.redis.Publish(channel, textOf(channel, n))
			}
			if len(doomed) > 0 && r.IntN(messages/2/perKind) == 0 {
				c := doomed[0].NetConn().(*net.TCPConn)
				if len(doomed)%2 == 0 {
					c.SetLinger(0)
				}
				c.Close()
				doomed = doomed[1:]
			}
		}
		readers.Wait()
		st := in.totals()
		if st.closes[CloseSlow] > 0 {
			t.Errorf("%d clients were ended for being slow", st.closes[CloseSlow])
		}
		if (st.batched > 0) != (way == IOUringAuto) {
			t.Errorf("%d sends were batched", st.batched)
		}
		eventually(t, "nothing is queued", func() bool { st := in.totals(); return st.queueBytes == 0 && st.queues == 0 })
	})
}

// What must not happen between a send being batched and it being sent: another
// one to the same client from a direct call, or the client's end.
func TestBatchedClientIsSettledFirst(t *testing.T) {
	for name, then := range map[string]func(s *still, p *peer, c *conn){
		"a send":   func(s *still, p *peer, c *conn) { s.send(p.slot, c, []byte("2")) },
		"a copy":   func(s *still, p *peer, c *conn) { s.sendCopy(p.slot, c, []byte("2")) },
		"history":  func(s *still, p *peer, c *conn) { s.sendHistory(p.slot, c, [][]byte{[]byte("2")}) },
		"a batch":  func(s *still, p *peer, c *conn) { s.sendBatched(p.slot, c, outgoing{b: []byte("2")}) },
		"a goodby": func(s *still, p *peer, c *conn) { s.endWith(p.slot, c, CloseDrain, []byte("2")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, nil)
			if s.batch.ring == nil {
				t.Skip("io_uring is not available")
			}
			p, other := s.openWebSocket(), s.openWebSocket()
			s.sendBatched(p.slot, s.conns.at(p.slot), outgoing{b: []byte("1")})
			s.sendBatched(other.slot, s.conns.at(other.slot), outgoing{b: []byte("x")})
			if got := p.receive(); got != nil {
				t.Fatalf("sent %q before the end of the turn", got)
			}
			then(s, p, s.conns.at(p.slot))
			s.submit()
			if got := p.receive(); string(got) != "12" {
				t.Errorf("got %q, want 12", got)
			}
			if got := other.receive(); string(got) != "x" {
				t.Errorf("the other client got %q", got)
			}
		})
	}
}

// A client that is released with a send in the batch gets it, and its number
// is not written to after it was given to the next one.
func TestReleaseOfABatchedClient(t *testing.T) {
	s := newStill(t, nil)
	if s.batch.ring == nil {
		t.Skip("io_uring is not available")
	}
	p := s.openWebSocket()
	s.sendBatched(p.slot, s.conns.at(p.slot), outgoing{b: []byte("last")})
	s.release(p.slot, s.conns.at(p.slot), CloseByClient)
	next := s.openWebSocket()
	s.submit()
	if got := p.receive(); string(got) != "last" {
		t.Errorf("got %q", got)
	}
	if got := next.receive(); got != nil {
		t.Errorf("the next client got %q", got)
	}
}

// A client that has gone is found out by the batch, and takes nobody along.
func TestBatchToTheDead(t *testing.T) {
	s := newStill(t, nil)
	if s.batch.ring == nil {
		t.Skip("io_uring is not available")
	}
	dead, alive := s.openWebSocket("news"), s.openWebSocket("news")
	dead.close()
	ch, _ := s.index.Lookup([]byte("news"))
	m := message.New("news", message.Position{Node: "still", Seq: 1}, 1, []byte("hello"))
	s.index.Publish(ch, m)
	s.Turn()
	if s.conns.find(dead.slot, dead.gen) != nil {
		t.Error("the dead client is still there")
	}
	if got := alive.receive(); string(got) != string(m.Encoded(message.FormText)) {
		t.Errorf("the other client got %q", got)
	}
	if st := &s.stats; st.closes[CloseReset] != 1 || st.batched < 2 {
		t.Errorf("closes %v, batched %d", st.closes, st.batched)
	}
}
