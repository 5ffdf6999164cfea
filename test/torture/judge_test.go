package torture

import (
	"bufio"
	"errors"
	"strings"
	"testing"
)

// The judge of the gateway's replies tells bad ones from truncated ones.
func TestRepliesAreJudged(t *testing.T) {
	const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	const stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
	const welcome = "\x81\x12" + `{"type":"welcome"}`
	for name, c := range map[string]struct {
		sent string
		bad  bool
	}{
		"nothing":                    {"", false},
		"cut within a head":          {"HTTP/1.1 200 OK\r\nConte", false},
		"two answers":                {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n", false},
		"an answer to HEAD":          {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		"a status line of another":   {"HTTP/1.1 200\r\n\r\n", true},
		"more than its length":       {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok\r\n", true},
		"no length":                  {"HTTP/1.1 200 OK\r\n\r\n", true},
		"a header line without LF":   {"HTTP/1.1 200 OK\r\nA: b\n\r\n", true},
		"a header twice":             {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", true},
		"JSON":                       {"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", false},
		"no JSON":                    {"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{]", true},
		"an event stream":            {stream + "retry: 1\n\nid: 1-1\nevent: message\ndata: {}\n\n:\n\n", false},
		"a field of no event":        {stream + "HTTP: 1\n", true},
		"an answer within events":    {stream + "HTTP/1.1 200 OK\r\n", true},
		"a WebSocket":                {upgraded + welcome + "\x89\x00" + "\x88\x02\x03\xe8", false},
		"cut within a frame":         {upgraded + welcome + "\x81\x7e\x01", false},
		"a masked frame":             {upgraded + "\x81\x81aaaab", true},
		"text that isn't UTF-8":      {upgraded + "\x81\x01\xff", true},
		"a frame of no type":         {upgraded + welcome + "\x81\x02{}", true},
		"a frame that isn't JSON":    {upgraded + welcome + "\x81\x02{]", true},
		"bare payloads":              {upgraded + "\x81\x02{]", false},
		"something behind the close": {upgraded + welcome + "\x88\x02\x03\xe8" + welcome, true},
	} {
		t.Run(name, func(t *testing.T) {
			var bad *badReply
			if err := new(replies).read(bufio.NewReader(strings.NewReader(c.sent))); errors.As(err, &bad) != c.bad {
				t.Errorf("said %v", err)
			}
		})
	}
}

// A witness finds missing, duplicate and reordered messages.
func TestWitnessJudges(t *testing.T) {
	for name, c := range map[string]struct {
		channel string
		loose   bool
		told    []string // messages, gap, or back for a new connection
		faults  int
	}{
		"all in order":                 {durableA, false, []string{"1", "2", "back", "3"}, 0},
		"one is missing":               {durableA, false, []string{"1", "3"}, 1},
		"the first is missing":         {durableA, false, []string{"2"}, 1},
		"one comes twice":              {durableA, false, []string{"1", "back", "1"}, 1},
		"out of order":                 {plain, false, []string{"2", "1"}, 2},
		"a gap of durable ones":        {durableA, false, []string{"1", "gap", "3"}, 1},
		"a gap of plain ones":          {plain, false, []string{"1", "gap", "3"}, 0},
		"a gap before another":         {plain, false, []string{"gap", "2", "4"}, 1},
		"lost before it was published": {plain, false, []string{"6"}, 1}, // 5 may be
		"never published":              {plain, false, []string{"gap", "4", "6"}, 0},
		"again from before":            {durableA, true, []string{"1", "2", "3", "back", "2", "3", "4"}, 0},
		"again within a connection":    {durableA, true, []string{"1", "2", "1"}, 1},
		"a hole behind the repeated":   {durableA, true, []string{"1", "2", "back", "1", "2", "4"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := &publication{channel: c.channel, durable: c.channel == durableA, uncertain: map[int]bool{5: true}}
			w := &witness{name: "w", loose: c.loose, books: map[string]*book{c.channel: {p: p}}, journal: &journal{}}
			faults := 0
			w.fault = func(string, ...any) { faults++ }
			w.back()
			for _, what := range c.told {
				switch what {
				case "gap":
					w.gapped(c.channel, "broker")
				case "back":
					w.back()
				default:
					w.message(c.channel, []byte(what))
				}
			}
			if faults != c.faults {
				t.Errorf("%d faults", faults)
			}
		})
	}
}
