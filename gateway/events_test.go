package gateway_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// stream is a client of /v1/sse.
type stream struct {
	t    testing.TB
	resp *http.Response
	r    *bufio.Reader
}

// sseEvent is one event; name and id are empty when it has none.
type sseEvent struct{ id, name, data string }

// events opens a stream; lastID is sent as Last-Event-ID unless empty.
func (in *instance) events(path, lastID string) *stream {
	in.t.Helper()
	req, err := http.NewRequest("GET", "http://"+in.Addr()+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := (&http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		in.t.Fatalf("%s: %s %s", path, resp.Status, resp.Header)
	}
	return &stream{in.t, resp, bufio.NewReader(resp.Body)}
}

// event returns the next event, or a lone id.
func (s *stream) event() (id string, e event) {
	s.t.Helper()
	timeout := time.AfterFunc(patience, func() { s.resp.Body.Close() })
	defer timeout.Stop()
	id, e, err := readEvent(s.r)
	if err != nil {
		s.t.Fatalf("the stream ended: %v", err)
	}
	return id, e
}

// next returns the next event as the HTML standard reads it; comments and
// retry are passed over.
func (s *stream) next() sseEvent {
	s.t.Helper()
	var e sseEvent
	var data []string
	timeout := time.AfterFunc(patience, func() { s.resp.Body.Close() })
	defer timeout.Stop()
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the stream ended: %v", err)
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			e.data = strings.Join(data, "\n")
			return e
		case line == "":
			e = sseEvent{}
		case field == "id":
			e.id = value
		case field == "event":
			e.name = value
		case field == "data":
			data = append(data, value)
		}
	}
}

func (s *stream) expect(name string) (sseEvent, event) {
	s.t.Helper()
	e := s.next()
	var v event
	if err := json.Unmarshal([]byte(e.data), &v); err != nil || e.name != name {
		s.t.Fatalf("got %+v, want a %s", e, name)
	}
	return e, v
}

func TestEventsCarryMessages(t *testing.T) {
	in := start(t, nil).ready()
	s := in.events("/v1/sse?channels=news", "")
	if _, v := s.expect("subscribed"); v.Channel != "news" || v.ID == "" {
		t.Errorf("got %+v", v)
	}
	in.redis.Publish("news", "{\"a\":\n1}")
	e, v := s.expect("message")
	if v.Channel != "news" || string(v.Data) != `{"a": 1}` || v.ID == "" || e.id != v.ID {
		t.Errorf("got %+v", e)
	}
	w := in.subscribed("news")
	in.redis.Publish("news", "2")
	e, _ = s.expect("message")
	if m := w.expect("message"); m.ID != e.id {
		t.Errorf("the ids differ: %s and %s", m.ID, e.id)
	}
}

func TestEventsResume(t *testing.T) {
	in := start(t, nil).ready()
	s := in.events("/v1/sse?channels=news", "")
	first, _ := s.expect("subscribed")
	s.resp.Body.Close()
	in.redis.Publish("news", "1")
	in.redis.Publish("news", "2")
	s = in.events("/v1/sse?channels=news", first.id)
	s.expect("subscribed")
	for _, want := range []string{"1", "2"} {
		if _, v := s.expect("message"); string(v.Data) != want {
			t.Errorf("got %s, want %s", v.Data, want)
		}
	}
	s = in.events("/v1/sse?channels=news", "~other-7")
	s.expect("subscribed")
	if _, v := s.expect("gap"); v.Reason != "history" {
		t.Errorf("got %+v", v)
	}
}

func TestRawEvents(t *testing.T) {
	in := start(t, nil).ready()
	s := in.events("/v1/sse?channels=news&format=raw", "")
	eventually(t, "the channel is subscribed", func() bool { return in.redis.Publish("news", "two\nlines") == 1 })
	if e := s.next(); e.data != "two\nlines" || e.name != "message" {
		t.Errorf("got %+v", e)
	}
}

func TestEventsHeartbeatAndDrain(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Heartbeat.Interval = 100 * time.Millisecond }).ready()
	s := in.events("/v1/sse?channels=news", "")
	s.expect("subscribed")
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == ":\n" {
			break
		}
	}
	in.stop()
	if _, v := s.expect("bye"); v.Reason != "drain" || v.ReconnectAfterMS <= 0 {
		t.Errorf("got %+v", v)
	}
	s.resp.Body.Close()
	if err := <-in.ended; err != nil {
		t.Error(err)
	}
}

func TestEventsRefusals(t *testing.T) {
	in := start(t, nil)
	for path, want := range map[string]int{
		"/v1/sse":                            400,
		"/v1/sse?channels=":                  400,
		"/v1/sse?channels=a%00":              400,
		"/v1/sse?channels=a&cursor=nonsense": 400,
	} {
		if status, body := in.get("http://" + in.Addr() + path); status != want || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
