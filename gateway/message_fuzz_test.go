package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// FuzzMessage sends a client's messages, one a line, to a shard. Whatever they are, the replies are
// whole frames of JSON, at most one to each message, and all of the client's state is freed once it
// has disconnected.
func FuzzMessage(f *testing.F) {
	good := mint(f, auth.Claims{Subject: "ann", Subscribe: []string{"a.**", "b"}, Channels: []string{"b"}, Publish: []string{"a.*"}})
	seeds := []string{
		`{"type":"ping"}`,
		`{"type":"ping","ref":7}`,
		`{"type":"ping","ref":"\u2028</script>"}`,
		`{"type":"ping","ref":-1.5e300}`,
		`{"type":"ping","ref":null}`,
		`{"type":"ping","ref":{}}`,
		`{"type":"subscribe","channel":"a.1","ref":1}`,
		"{\"type\":\"subscribe\",\"channel\":\"a.1\"}\n{\"type\":\"subscribe\",\"channel\":\"a.1\"}\n{\"type\":\"unsubscribe\",\"channel\":\"a.1\"}",
		`{"type":"subscribe","channel":"a.1","since":"1732345678901-0"}`,
		`{"type":"subscribe","channel":"a.1","since":"~still-1"}`,
		`{"type":"subscribe","channel":"a.1","since":"~elsewhere-1"}`,
		`{"type":"subscribe","channel":"a b"}`,
		`{"type":"subscribe","channel":"\u0000"}`,
		`{"type":"subscribe","channel":"b","since":"nonsense"}`,
		strings.Repeat("{\"type\":\"subscribe\",\"channel\":\"a.X\"}\n", 4),
		`{"type":"publish","channel":"a.1","data":{"x":[1,"ä"]},"ref":2}`,
		`{"type":"publish","channel":"a.1"}`,
		`{"type":"publish","channel":"b","data":null}`,
		`{"type":"publish","data":1}`,
		`{"type":"auth","token":"nonsense"}`,
		`{"type":"auth","token":"` + good + `","ref":"again"}`,
		"{\"type\":\"auth\",\"token\":\"" + good + "\"}\n{\"type\":\"subscribe\",\"channel\":\"c\"}\n{\"type\":\"subscribe\",\"channel\":\"a.b.c\"}",
		`{"TYPE":"ping","Ref":1}`,
		`{"type":"ping","type":"fly"}`,
		`[]`, `null`, `0`, `"`, `{`, `{}`, ``, "\xff", `{"type":{}}`, `{"type":"fly"}`,
		strings.Repeat(`{"type":`, 2000),
	}
	for i, s := range seeds {
		f.Add([]byte(s), false, i%5 == 0)
		f.Add([]byte(s), true, false)
	}
	f.Fuzz(func(t *testing.T, text []byte, tokens, raw bool) {
		if len(text) > 32<<10 {
			return
		}
		s := newStill(t, func(c *Config) {
			c.Limits.ChannelsPerConnection = 3
			c.Channels = []ChannelRule{{Match: []string{"a.*"}, Publish: true}}
			if tokens {
				withStillTokens(c)
			}
		})
		p := s.connect()
		path := "/v1/ws"
		if raw {
			path += "?format=raw"
		}
		p.send([]byte(strings.Replace(upgradeHead, "/v1/ws", path, 1)))
		_, welcome, ok := strings.Cut(string(p.receive()), "\r\n\r\n")
		if !ok || (welcome != "") == (tokens || raw) {
			t.Fatalf("welcomed with %q", welcome)
		}
		outstanding := false
		for i, line := range slices.Collect(strings.SplitSeq(string(text), "\n")) {
			if i == 16 || !s.conns.Slots.Find(p.key()) || !s.hub.IsOpen(p.slot) {
				break
			}
			p.send(frame(ws.OpText, line))
			s.inside().ConfirmAll()
			var cmd struct{ Type, Since string }
			json.Unmarshal([]byte(line), &cmd)
			n, closed, err := p.replies()
			switch {
			case err != nil:
				t.Fatalf("%q is answered wrongly: %v", line, err)
			case raw && n > 0, n > 1 && cmd.Type != "auth":
				t.Fatalf("%q has %d answers", line, n)
			case n == 0 && !raw && !closed && cmd.Type != "publish" && (cmd.Type != "subscribe" || cmd.Since == ""):
				t.Fatalf("%q has no answer", line)
			}
			outstanding = outstanding || cmd.Since != ""
		}
		syscall.Shutdown(p.fd, syscall.SHUT_WR)
		if s.conns.Slots.Find(p.key()) {
			s.conns.Reading.Now(p.slot)
		}
		s.conns.Reap()
		kept, open := s.inside().Kept(), 0
		for _, n := range s.hub.Stats.Clients {
			open += n
		}
		if s.conns.Slots.Len() != 0 || s.hub.Stats.Subscriptions != 0 || s.queueBytes() != 0 || open != 0 ||
			s.inputCount() != 0 || s.queueCount() != 0 || kept.Grants != 0 || s.native.WithoutToken() != 0 {
			t.Fatalf("left: %d connections, %d subscriptions, %d bytes, %d clients, %d inputs, %d queues, %d grants, %d unknown",
				s.conns.Slots.Len(), s.hub.Stats.Subscriptions, s.queueBytes(), open, s.inputCount(), s.queueCount(), kept.Grants, s.native.WithoutToken())
		}
		if n := s.hub.Channels.Index.Channels(); n != 0 && !outstanding {
			t.Fatalf("%d channels are left", n)
		}
	})
}

// replies reads the shard's output: frames with a JSON object of a known type each, and at most a
// close frame behind them.
func (p *peer) replies() (n int, closed bool, err error) {
	var all []byte
	for got := p.receive(); len(got) > 0; got = p.receive() {
		all = append(all, got...)
	}
	reader := wsframe.NewReader(wsframe.Client, 1<<20)
	var message []byte
	for len(all) > 0 {
		ev, used, err := reader.Next(all)
		if err != nil {
			return n, false, err
		}
		all = all[used:]
		switch ev.Kind {
		case wsframe.Close:
			if len(all) > 0 {
				return n, false, fmt.Errorf("%q after the close frame", all)
			}
			return n, true, nil
		case wsframe.Data:
			if message = append(message, ev.Payload...); !ev.Final {
				continue
			}
			var e struct{ Type string }
			if err := json.Unmarshal(message, &e); err != nil {
				return n, false, fmt.Errorf("%w in %q", err, message)
			}
			if !slices.Contains([]string{"welcome", "subscribed", "unsubscribed", "published", "gap", "error", "pong", "bye"}, e.Type) {
				return n, false, fmt.Errorf("the type of %q", message)
			}
			message = message[:0]
			n++
		default:
			return n, false, fmt.Errorf("a frame of kind %d", ev.Kind)
		}
	}
	if !reader.Idle() {
		return n, false, fmt.Errorf("a part of a frame")
	}
	return n, false, nil
}
