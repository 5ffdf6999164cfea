package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
)

// many is the most channels that a client can be allowed.
const many = message.MaxCursorChannels

func manyAllowed(c *Config) {
	c.Shards = 1
	c.Limits.ChannelsPerConnection, c.Limits.HeadBytes, c.Limits.MessageBytes = many, 128<<10, 1<<20
}

// askFor returns requests for channels, by transport.
func askFor(names []string) map[string]string {
	list := strings.Join(names, ",")
	return map[string]string{
		"websocket": strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels="+list, 1),
		"sse":       "GET /v1/sse?channels=" + list + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"poll":      "GET /v1/poll?channels=" + list + " HTTP/1.1\r\nHost: a\r\n\r\n",
	}
}

// A request for thousands of channels is done a slice at a time, and nothing of it is
// left when its client goes in the middle.
func TestRequestsForManyChannelsComeInSlices(t *testing.T) {
	for name, request := range askFor(manyChannels(many)) {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, manyAllowed)
			for _, leaves := range []bool{false, true} {
				p := s.connect()
				p.send([]byte(request))
				c := s.conns.at(p.slot)
				if c.count > 256 {
					t.Fatalf("it has %d channels at once", c.count)
				}
				p.send(frame(ws.OpPing, "behind"))
				for slices := 1; slices <= 5; slices++ {
					if int(c.count) != slices*taskSlice {
						t.Fatalf("it has %d channels after %d slices", c.count, slices)
					}
					s.work(p.slot, c, s.taskOf[p.slot])
				}
				if !leaves {
					for s.runTasks() {
					}
					if c.count != many || c.flags&flagDemoted == 0 {
						t.Errorf("it has %d channels, and is demoted: %v", c.count, c.flags&flagDemoted != 0)
					}
				}
				p.close()
				s.read(p.slot, c) // what is there
				s.read(p.slot, c)
				if c.phase == phaseOpen { // a poll may read on, of which nothing tells before it's written to
					s.release(p.slot, c, CloseByClient)
				}
				for s.Turn() {
				}
				if len(s.taskOf)+len(s.tasks)+len(s.joins)+s.index.Subscriptions()+s.index.Channels() > 0 || s.srv.subscriptions.Load() != 0 {
					t.Errorf("leaves: %v: %d tasks, %d joins, %d subscriptions to %d channels are left", leaves,
						len(s.taskOf), len(s.joins), s.index.Subscriptions(), s.index.Channels())
				}
				if n := s.srv.inputBytes.Load(); n != 0 {
					t.Errorf("leaves: %v: %d bytes are counted", leaves, n)
				}
			}
		})
	}
}

// leading is a connection whose first writes up to the end of a request's head are
// followed by more at once.
type leading struct {
	net.Conn
	more []byte
}

func (c *leading) Write(b []byte) (int, error) {
	if !bytes.HasSuffix(b, []byte("\r\n\r\n")) || c.more == nil {
		return c.Conn.Write(b)
	}
	_, err := c.Conn.Write(append(bytes.Clone(b), c.more...))
	c.more = nil
	return len(b), err
}

// A client of thousands of channels is told of them in their order, and of what it
// sent right behind its request after that, be its token in that or in its first
// message.
func TestManyChannelsKeepTheirOrder(t *testing.T) {
	names := manyChannels(many)
	in := start(t, func(c *Config) { manyAllowed(c); withTokens(c) }).ready()
	tok := token(t, auth.Claims{Subject: "u", Subscribe: []string{"room.*"}})
	dial := func(query string, messages ...string) *client {
		var more []byte
		for _, m := range messages {
			more = append(more, frame(ws.OpText, m)...)
		}
		d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
			c, err := net.Dial(network, addr)
			return &leading{c, more}, err
		}}
		c, _, err := d.Dial("ws://"+in.Addr()+"/v1/ws?channels="+strings.Join(names, ",")+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return &client{Conn: c, t: t}
	}
	first := dial("&token=" + tok)
	first.expect("welcome")
	for range names {
		first.expect("subscribed") // now they are live
	}
	last := names[many-1]
	commands := []string{
		`{"type":"ping","ref":1}`,
		fmt.Sprintf(`{"type":"unsubscribe","channel":%q,"ref":2}`, last),
		fmt.Sprintf(`{"type":"subscribe","channel":%q,"ref":3}`, last),
	}
	for name, come := range map[string]func() *client{
		"with the request": func() *client { return dial("&token="+tok, commands...) },
		"in a first message": func() *client {
			return dial("", append([]string{fmt.Sprintf(`{"type":"auth","token":%q}`, tok)}, commands...)...)
		},
	} {
		c := come()
		c.expect("welcome")
		for _, want := range names {
			if e := c.expect("subscribed"); e.Channel != want {
				t.Fatalf("%s: got %+v in place of %s", name, e, want)
			}
		}
		for k, want := range []string{"pong", "unsubscribed", "subscribed"} {
			if e := c.expect(want); string(e.Ref) != fmt.Sprint(k+1) {
				t.Errorf("%s: got %+v", name, e)
			}
		}
		for _, want := range []string{names[1], last} {
			in.redis.Publish(want, "1")
			if e := c.expect("message"); e.Channel != want {
				t.Errorf("%s: got %+v", name, e)
			}
		}
		c.write(`{"type":"ping"}`) // it's read again
		c.expect("pong")
	}
	raw := dial("&format=raw&token=" + tok) // nothing is sent to it meanwhile
	eventually(t, "it has its channels", func() bool {
		return in.onLoop(func(s *shard) bool { return len(s.taskOf) == 0 && s.index.Subscriptions() == 4*many })
	})
	raw.write(fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, last))
	eventually(t, "it is read again", func() bool {
		return in.onLoop(func(s *shard) bool { return s.index.Subscriptions() == 4*many-1 })
	})
	eventually(t, "nothing is left to do", func() bool {
		return in.onLoop(func(s *shard) bool { return len(s.taskOf) == 0 && s.inputBytes == 0 })
	})
}

// What a client asked for in one request is no reason to call it slow.
func TestConfirmationsOfOneRequestAreNoBurden(t *testing.T) {
	const least = 4 << 10
	in := start(t, func(c *Config) { manyAllowed(c); c.Limits.QueueBytes = least }).ready()
	for _, request := range []string{"sse", "websocket"} {
		names := manyChannels(many)
		for i := range names {
			names[i] = request + "." + names[i]
		}
		for _, what := range []string{"new", "live"} {
			c, err := smallDialer.Dial("tcp", in.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write([]byte(askFor(names)[request])); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it has its channels", func() bool {
				return in.onLoop(func(s *shard) bool { return s.index.Subscriptions() == many && len(s.joins) == 0 })
			})
			got := make([]byte, 0, 1<<20)
			buf := make([]byte, 64<<10)
			for bytes.Count(got, []byte(`"type":"subscribed"`)) < many {
				n, err := c.Read(buf)
				if got = append(got, buf[:n]...); err != nil {
					t.Fatalf("%s, %s channels: %d bytes, %v", request, what, len(got), err)
				}
			}
			c.Close()
			eventually(t, "it is gone", func() bool { return in.onLoop(func(s *shard) bool { return s.index.Subscriptions() == 0 }) })
		}
	}
}

// A new token takes a client out of thousands of channels a slice at a time.
func TestManyChannelsAreRevokedInSlices(t *testing.T) {
	s := newStill(t, func(c *Config) { manyAllowed(c); withTokens(c); c.Limits.QueueBytes = 4 << 10 })
	p := s.connect()
	request := askFor(manyChannels(many))["websocket"]
	p.send([]byte(withHeader(request, "Authorization: Bearer "+token(t, auth.Claims{Subject: "u", Subscribe: []string{"room.*"}}))))
	for s.Turn() {
	}
	c := s.conns.at(p.slot)
	if c.count != many {
		t.Fatalf("it has %d channels", c.count)
	}
	drop := func() (got []byte) {
		for b := p.receive(); len(b) > 0; b = p.receive() {
			got = append(got, b...)
			s.flush(p.slot, c)
		}
		return got
	}
	drop()
	text := fmt.Sprintf(`{"type":"auth","token":%q}`, token(t, auth.Claims{Subject: "u", Subscribe: []string{"room.1"}}))
	p.send(append(frame(ws.OpText, text), frame(ws.OpText, `{"type":"ping","ref":7}`)...))
	if int(c.count) < many-taskSlice {
		t.Errorf("%d channels are left at once", c.count)
	}
	for s.Turn() {
	}
	got := string(drop())
	if n := strings.Count(got, `"unsubscribed"`); n != many-1 || c.count != 1 || strings.Contains(got, `"channel":"room.1"`) {
		t.Errorf("it was told of %d channels and has %d", n, c.count)
	}
	if strings.Index(got, `"pong"`) < strings.LastIndex(got, `"unsubscribed"`) {
		t.Error("what it sent behind its token was answered before")
	}
}

// The answer to a poll of thousands of channels is made a slice at a time. It has
// each channel once: what it got, and where to go on.
func TestPollsOfManyChannelsAreAnsweredInSlices(t *testing.T) {
	in := start(t, manyAllowed).ready()
	names := manyChannels(many)
	post := func(cursor string, wait float64) polled {
		body, err := json.Marshal(map[string]any{"channels": names, "cursor": cursor, "wait": wait, "max": maxMessages})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := plainHTTP.Post("http://"+in.Addr()+"/v1/poll", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return readPolled(t, resp)
	}
	first := post("", 0)
	if first.status != http.StatusNoContent {
		t.Fatalf("got %+v", first)
	}
	const messages = 300
	for n := range messages {
		in.redis.Publish(names[n*many/messages], fmt.Sprint(n))
	}
	cursor, got := first.Cursor, make(map[string]bool)
	for len(got) < messages {
		p := post(cursor, 50)
		for _, m := range p.data(t) {
			if got[m] {
				t.Fatalf("%s came twice", m)
			}
			got[m] = true
		}
		if len(p.Gaps) > 0 {
			t.Fatalf("gaps in %v", p.Gaps)
		}
		cursor = p.Cursor
	}
	if p := post(cursor, 0); p.status != http.StatusNoContent || len(p.Cursor) == 0 {
		t.Errorf("got %+v after all", p)
	}

	// A slice looks at some of them, and no more.
	s := newStill(t, manyAllowed)
	p := s.connect()
	p.send([]byte(askFor(names)["poll"]))
	for s.runTasks() {
	}
	c := s.conns.at(p.slot)
	s.tryAnswer(p.slot, c)
	slices := 1
	task := s.taskOf[p.slot]
	if task == nil {
		t.Fatal("it is answered in one go")
	}
	s.tryAnswer(p.slot, c) // another reason
	for s.taskOf[p.slot] == task && !s.work(p.slot, c, task) {
		slices++
	}
	if slices < many/taskSlice {
		t.Errorf("it is answered in %d slices", slices)
	}
	s.endTask(p.slot, c, task)
	if c.phase != phaseHead || s.index.Subscriptions() > 0 {
		t.Errorf("it is in phase %d with %d subscriptions", c.phase, s.index.Subscriptions())
	}
}

// A poll whose time is up before it could ask for all of its channels keeps its
// position in each of them.
func TestPollEndsWhileItsChannelsAreAskedFor(t *testing.T) {
	s := newStill(t, manyAllowed)
	names := manyChannels(many)
	var cursor message.Cursor
	for n, name := range names {
		cursor.Set(name, message.Position{Ms: uint64(n + 1)})
	}
	body := fmt.Sprintf(`{"channels":["%s"],"cursor":%q}`, strings.Join(names, `","`), cursor.String())
	p := s.connect()
	p.send([]byte(fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body))))
	for len(body) > 0 {
		n := min(len(body), readRequests)
		p.send([]byte(body[:n]))
		body = body[n:]
	}
	c := s.conns.at(p.slot)
	if t0 := s.taskOf[p.slot]; t0 == nil || t0.opens == nil || int(c.count) >= many {
		t.Fatalf("it has %d channels", c.count)
	}
	s.answerPoll(p.slot, c)
	for s.Turn() {
	}
	var got []byte
	for b := p.receive(); len(b) > 0; b = p.receive() {
		got = append(got, b...)
		s.flush(p.slot, c)
	}
	_, rest, _ := strings.Cut(string(got), "Poll-Cursor: ")
	text, _, _ := strings.Cut(rest, "\r\n")
	if text != cursor.String() {
		t.Errorf("it goes on at %.100s of %d bytes, was at %.100s of %d", text, len(text), cursor.String(), len(cursor.String()))
	}
	if s.index.Subscriptions() > 0 || len(s.taskOf) > 0 || s.inputBytes != 0 {
		t.Errorf("%d subscriptions, %d tasks, %d bytes are left", s.index.Subscriptions(), len(s.taskOf), s.inputBytes)
	}
}

// A client of thousands of channels that comes and goes in one of them costs about as much
// as one of ten.
func TestOneOfManyChannelsIsCheap(t *testing.T) {
	per := func(n int) time.Duration {
		s := newStill(t, manyAllowed)
		p := s.connect()
		p.send([]byte(askFor(manyChannels(n))["websocket"]))
		for s.runTasks() {
		}
		c := s.conns.at(p.slot)
		if int(c.count) != n {
			t.Fatalf("it has %d channels", c.count)
		}
		c.flags |= flagRaw // it's told nothing
		at := 0
		turn := func() {
			at = (at + n/2 + 1) % n
			name := fmt.Sprintf("room.%d", at)
			s.unsubscribe(p.slot, c, &command{Channel: name})
			s.subscribe(p.slot, c, name, waiter{})
		}
		turn()
		const turns = 2000
		began := time.Now()
		for range turns {
			turn()
		}
		return time.Since(began) / turns
	}
	const most = 3
	var few, lots time.Duration
	for range 5 { // what else runs on the machine can spoil one comparison, not each
		if few, lots = per(10), per(many); lots < most*few {
			t.Logf("%v with 10 channels, %v with %d", few, lots, many)
			return
		}
	}
	t.Errorf("%v with %d channels, %v with 10", lots, many, few)
}
