package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// A request for thousands of channels is handled in slices, and leaves nothing behind if its client
// disconnects in between.
func TestRequestsForManyChannelsComeInSlices(t *testing.T) {
	for name, request := range AskFor(ManyChannels(Many)) {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, ManyAllowed)
			for _, leaves := range []bool{false, true} {
				p := s.connect()
				p.send([]byte(request))
				if s.count(p) > 256 {
					t.Fatalf("it has %d channels at once", s.count(p))
				}
				p.send(frame(ws.OpPing, "behind"))
				for slices := 1; slices <= 5; slices++ {
					if s.count(p) != slices*client.SliceChannels {
						t.Fatalf("it has %d channels after %d slices", s.count(p), slices)
					}
					s.inside().WorkOn(p.slot)
				}
				if !leaves {
					for s.hub.Work() {
					}
					if s.count(p) != Many || !s.conns.Reading.IsDemoted(p.slot) {
						t.Errorf("it has %d channels, and is demoted: %v", s.count(p), s.conns.Reading.IsDemoted(p.slot))
					}
				}
				p.close()
				s.conns.Reading.Now(p.slot) // pending input
				s.conns.Reading.Now(p.slot)
				if s.hub.IsOpen(p.slot) { // a poll's end shows only at a write
					s.conns.Release(p.slot, reasons.CloseByClient)
				}
				for s.Turn() {
				}
				if k := s.inside().Kept(); k.Tasks+k.Joins+k.Subscriptions+k.Channels > 0 || s.srv.clients.Subscriptions.Load() != 0 {
					t.Errorf("leaves: %v: %+v is left", leaves, k)
				}
				if n := s.native.Behind(); n != 0 {
					t.Errorf("leaves: %v: %d inputs are kept behind requests", leaves, n)
				}
				if n := s.srv.net.Inputs.Load(); n != 0 {
					t.Errorf("leaves: %v: %d bytes are counted", leaves, n)
				}
			}
		})
	}
}

// A new token takes a client out of thousands of channels a slice at a time.
func TestManyChannelsAreRevokedInSlices(t *testing.T) {
	s := newStill(t, func(c *Config) { ManyAllowed(c); withStillTokens(c); c.Limits.QueueBytes = 4 << 10 })
	p := s.connect()
	request := AskFor(ManyChannels(Many))["websocket"]
	p.send([]byte(strings.TrimSuffix(request, "\r\n") + "Authorization: Bearer " + stillToken(t, "room.*") + "\r\n\r\n"))
	for s.Turn() {
	}
	if s.count(p) != Many {
		t.Fatalf("it has %d channels", s.count(p))
	}
	drop := func() (got []byte) {
		for b := p.receive(); len(b) > 0; b = p.receive() {
			got = append(got, b...)
			p.flush()
		}
		return got
	}
	drop()
	text := fmt.Sprintf(`{"type":"auth","token":%q}`, stillToken(t, "room.1"))
	p.send(append(frame(ws.OpText, text), frame(ws.OpText, `{"type":"ping","ref":7}`)...))
	if s.count(p) < Many-client.SliceChannels {
		t.Errorf("%d channels are left at once", s.count(p))
	}
	for s.Turn() {
	}
	got := string(drop())
	if n := strings.Count(got, `"unsubscribed"`); n != Many-1 || s.count(p) != 1 || strings.Contains(got, `"channel":"room.1"`) {
		t.Errorf("it was told of %d channels and has %d", n, s.count(p))
	}
	if strings.Index(got, `"pong"`) < strings.LastIndex(got, `"unsubscribed"`) {
		t.Error("what it sent behind its token was answered before")
	}
}

// Nothing is kept behind a token that nothing follows.
func TestNothingBehindAToken(t *testing.T) {
	s := newStill(t, func(c *Config) { ManyAllowed(c); withStillTokens(c) })
	p := s.connect()
	request := AskFor(ManyChannels(Many))["websocket"]
	p.send([]byte(strings.TrimSuffix(request, "\r\n") + "Authorization: Bearer " + stillToken(t, "room.*") + "\r\n\r\n"))
	for s.Turn() {
	}
	p.send(frame(ws.OpText, fmt.Sprintf(`{"type":"auth","token":%q}`, stillToken(t, "room.1"))))
	if s.hub.Tasks.Of(p.slot) == nil {
		t.Fatal("its channels are revoked in one go")
	}
	for s.Turn() {
	}
	if n := s.native.Behind(); n != 0 {
		t.Errorf("%d inputs are kept", n)
	}
}

// A poll whose wait ends before all its channels are subscribed keeps its position in each of them.
func TestPollEndsWhileItsChannelsAreAskedFor(t *testing.T) {
	s := newStill(t, ManyAllowed)
	names := ManyChannels(Many)
	var cursor message.Cursor
	for n, name := range names {
		cursor.Set(name, message.Position{Ms: uint64(n + 1)})
	}
	body := fmt.Sprintf(`{"channels":["%s"],"cursor":%q}`, strings.Join(names, `","`), cursor.String())
	p := s.connect()
	p.send([]byte(fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body))))
	for len(body) > 0 {
		n := min(len(body), httpconn.ReadRequests)
		p.send([]byte(body[:n]))
		body = body[n:]
	}
	if _, opening := s.hub.Tasks.Of(p.slot).(*client.Opening); !opening || s.count(p) >= Many {
		t.Fatalf("it has %d channels", s.count(p))
	}
	s.polls.RespondNow(p.slot)
	for s.Turn() {
	}
	var got []byte
	for b := p.receive(); len(b) > 0; b = p.receive() {
		got = append(got, b...)
		p.flush()
	}
	_, rest, _ := strings.Cut(string(got), "Poll-Cursor: ")
	text, _, _ := strings.Cut(rest, "\r\n")
	if text != cursor.String() {
		t.Errorf("it goes on at %.100s of %d bytes, was at %.100s of %d", text, len(text), cursor.String(), len(cursor.String()))
	}
	if s.hub.Channels.Index.Subscriptions() > 0 || s.inside().Kept().Tasks > 0 || s.srv.net.Inputs.Load() != 0 {
		t.Errorf("%d subscriptions, %d tasks, %d bytes are left", s.hub.Channels.Index.Subscriptions(), s.inside().Kept().Tasks, s.srv.net.Inputs.Load())
	}
}

// Resubscribing to one of thousands of channels costs about as much as to one of ten.
func TestOneOfManyChannelsIsCheap(t *testing.T) {
	per := func(n int) time.Duration {
		s := newStill(t, ManyAllowed)
		p := s.connect()
		p.send([]byte(AskFor(ManyChannels(n))["websocket"]))
		for s.hub.Work() {
		}
		if s.count(p) != n {
			t.Fatalf("it has %d channels", s.count(p))
		}
		at := 0
		turn := func() {
			at = (at + n/2 + 1) % n
			name := fmt.Sprintf("room.%d", at)
			s.hub.Channels.Unsubscribe(p.slot, name)
			s.hub.Channels.Subscribe(p.slot, name, client.Request{})
		}
		turn()
		const turns = 2000
		return gatewaytest.CPUTime(func() {
			for range turns {
				turn()
			}
		}) / turns
	}
	const most = 3
	var few, lots time.Duration
	for range 5 { // other load on the machine can spoil one comparison, not each
		if few, lots = per(10), per(Many); lots < most*few {
			t.Logf("%v with 10 channels, %v with %d", few, lots, Many)
			return
		}
	}
	t.Errorf("%v with %d channels, %v with 10", lots, Many, few)
}

// A slice of a poll response visits only some of its channels.
func TestAnswerOfManyChannelsComesInSlices(t *testing.T) {
	names := ManyChannels(Many)
	s := newStill(t, ManyAllowed)
	p := s.connect()
	p.send([]byte(AskFor(names)["poll"]))
	for s.hub.Work() {
	}
	s.polls.Expired(p.slot)
	slices := 1
	task := s.hub.Tasks.Of(p.slot)
	if task == nil {
		t.Fatal("it is answered in one go")
	}
	s.polls.Expired(p.slot) // another reason
	for s.hub.Tasks.Of(p.slot) == task && !s.inside().WorkOn(p.slot) {
		slices++
	}
	if slices < Many/client.SliceChannels {
		t.Errorf("it is answered in %d slices", slices)
	}
	s.inside().EndTask(p.slot)
	if s.http.IsServing(p.slot) || s.hub.Channels.Index.Subscriptions() > 0 {
		t.Errorf("it is still served with %d subscriptions", s.hub.Channels.Index.Subscriptions())
	}
}

// count returns the number of a client's channels.
func (s *still) count(p *peer) int { return s.hub.Channels.Count(p.slot) }

// Many is the most channels that a client can be allowed.
const Many = message.MaxCursorChannels

func ManyAllowed(c *Config) {
	c.Shards = 1
	c.Limits.ChannelsPerConnection, c.Limits.HeadBytes, c.Limits.MessageBytes = Many, 128<<10, 1<<20
}

// AskFor returns requests for channels, by transport.
func AskFor(names []string) map[string]string {
	list := strings.Join(names, ",")
	return map[string]string{
		"websocket": strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels="+list, 1),
		"sse":       "GET /v1/sse?channels=" + list + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"poll":      "GET /v1/poll?channels=" + list + " HTTP/1.1\r\nHost: a\r\n\r\n",
	}
}

// ManyChannels returns the names of n channels.
func ManyChannels(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("room.%d", i)
	}
	return names
}
