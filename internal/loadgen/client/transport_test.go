package client

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

var testLimits = plan.HostLimits{Descriptors: 20000, Ports: 28232}

const testRun = "1f2e3d4c"

// bench is a loop without a server: its clients write into a socket pair and read a test's
// input.
func bench(t testing.TB, transport plan.Transport, channels string) *loop {
	c := plan.DefaultConfig()
	c.Transport, c.Connections, c.Channels = transport, 2, channels
	p, err := plan.New(t.Context(), c, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	p.RunID = testRun
	e, err := New(p, NewClock(0), NewSignals())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.closeLoops)
	return e.loops[0]
}

// place puts client 0 into a state with a socket of its own.
func place(t testing.TB, l *loop, s state) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.now = l.engine.Clock.Now()
	l.clients[0] = client{fd: int32(pair[0]), state: s, flags: counted, pending: uint16(l.plan.ChannelSet.PerClient())}
	l.scratch(0).started = l.now
	t.Cleanup(func() {
		l.closeAll()
		syscall.Close(pair[1])
	})
}

// Messages of other runs or clients are counted by their kind.
func TestMessageKinds(t *testing.T) {
	payload := func(s account.Stamp) string {
		return string(account.AppendPayload(nil, testRun, s, account.MinPayload))
	}
	message := func(data string) string { return `{"type":"message","channel":"x","id":"1","data":` + data + `}` }
	tests := map[string]struct {
		text string
		want account.Counters
	}{
		"ours":          {message(payload(account.Stamp{Channel: 0, Seq: 1})), account.Counters{Delivered: 1}},
		"other client":  {message(payload(account.Stamp{Channel: 2, Seq: 1})), account.Counters{Misdirected: 1}},
		"no channel":    {message(payload(account.Stamp{Channel: 99, Seq: 1})), account.Counters{Misdirected: 1}},
		"never sent":    {message(payload(account.Stamp{Channel: 0, Seq: 101})), account.Counters{Damaged: 1}},
		"number zero":   {message(payload(account.Stamp{Channel: 0, Seq: 0})), account.Counters{Damaged: 1}},
		"damaged":       {message(`{"run":"` + testRun + `","at":"AAAA`), account.Counters{Damaged: 1}},
		"other run":     {message(`{"run":"00000000","at":"AAAAAAAAAAEAAAAAAAAAAQAAAAAAAAAB"}`), account.Counters{Foreign: 1}},
		"other payload": {message(`{"hello":1}`), account.Counters{Foreign: 1}},
		"gap":           {`{"type":"gap","channel":"x","since":"1","reason":"broker"}`, account.Counters{Gaps: 1}},
		"bye":           {`{"type":"bye","reason":"drain","reconnect_after_ms":1}`, account.Counters{Byes: 1}},
		"error":         {`{"type":"error","code":"rate","message":"x"}`, account.Counters{Errors: 1}},
		"pong":          {`{"type":"pong"}`, account.Counters{}},
		"other type":    {`{"type":"surprise"}`, account.Counters{Unknown: 1}},
		"not ours":      {`hello`, account.Counters{Unknown: 1}},
		"nothing":       {``, account.Counters{Unknown: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := bench(t, plan.WebSocket, "a,user.%i")
			place(t, l, ready)
			l.message(0, []byte(tt.text))
			l.show()
			if l.counters != tt.want {
				t.Errorf("got %+v, want %+v", l.counters, tt.want)
			}
		})
	}
}

// outcome is a client's reaction to some bytes.
type outcome struct {
	counters account.Counters
	failures string
	state    state
}

// take feeds pieces to client 0.
func take(t testing.TB, transport plan.Transport, pieces ...[]byte) outcome {
	l := bench(t, transport, "a")
	place(t, l, opening)
	l.connects.inFlight = 1
	for _, p := range pieces {
		if len(p) > 0 && l.clients[0].state != gone {
			l.transport(0).received(l, 0, append([]byte(nil), p...))
		}
	}
	l.show()
	return outcome{l.counters, fmt.Sprint(l.tallies), l.clients[0].state}
}

// Bytes of a server mean the same however they are cut.
func FuzzReceived(f *testing.F) {
	upgrade := "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + webSocketAccept + "\r\n\r\n"
	text := `{"type":"message","data":` + string(account.AppendPayload(nil, testRun, account.Stamp{Seq: 1}, 100)) + `}`
	frame := string([]byte{0x81, 126, 0, byte(len(text))}) + text
	stream := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	f.Add(uint8(0), []byte(upgrade+"\x81\x15{\"type\":\"subscribed\"}"+frame+"\x89\x01x\x88\x02\x03\xe8"), 20, 200)
	f.Add(uint8(1), []byte(stream+":x\n\nid: 1\ndata: {\"type\":\"subscribed\"}\n\ndata: "+text+"\n\n"), 60, 90)
	f.Add(uint8(1), []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n17\r\ndata: {\"type\":\"bye\"}\n\n\n\r\n0\r\n\r\n"), 90, 100)
	f.Add(uint8(2), []byte("HTTP/1.1 204 X\r\nPoll-Cursor: c\r\n\r\n"), 5, 20)
	f.Add(uint8(2), fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{\"cursor\":\"c\",\"messages\":[%s],\"gaps\":[\"a\"]}", len(text)+41, text), 30, 70)
	f.Fuzz(func(t *testing.T, kind uint8, p []byte, a, b int) {
		transport := []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll}[kind%3]
		a = min(max(a, 0), len(p))
		b = min(max(b, a), len(p))
		whole, split := take(t, transport, p), take(t, transport, p[:a], p[a:b], p[b:])
		if transport == plan.Poll && whole.counters.Established > 0 {
			// A second, unsolicited answer is dropped when it arrives with the first, and read
			// when it arrives later.
			return
		}
		if whole != split {
			t.Fatalf("%s %q cut at %d and %d:\n%+v\nwhole:\n%+v", transport, p, a, b, split, whole)
		}
	})
}
