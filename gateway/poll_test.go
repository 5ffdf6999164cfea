package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// polled is a response of /v1/poll.
type polled struct {
	Cursor   string            `json:"cursor"`
	Messages []json.RawMessage `json:"messages"`
	Gaps     []string          `json:"gaps"`
	More     bool              `json:"more"`
	status   int
}

// poll makes one request over client, nil for a connection of its own.
func (in *instance) poll(hc *http.Client, query string) polled {
	in.t.Helper()
	if hc == nil {
		hc = gatewaytest.Once
	}
	resp, err := hc.Get("http://" + in.Addr() + "/v1/poll?" + query)
	if err != nil {
		in.t.Fatal(err)
	}
	return readPolled(in.t, resp)
}

// pollMeanwhile polls while the test continues. The function from the channel returns its response.
func (in *instance) pollMeanwhile(query string) <-chan func() polled {
	got := make(chan func() polled, 1)
	go func() {
		resp, err := gatewaytest.Once.Get("http://" + in.Addr() + "/v1/poll?" + query)
		if err == nil { // read here, so that the connection ends whether or not anybody takes it
			var body []byte
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		got <- func() polled {
			in.t.Helper()
			if err != nil {
				in.t.Fatal(err)
			}
			return readPolled(in.t, resp)
		}
	}()
	return got
}

func readPolled(t testing.TB, resp *http.Response) (p polled) {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch p.status = resp.StatusCode; p.status {
	case 200:
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	case 204:
		p.Cursor = resp.Header.Get("Poll-Cursor")
	default:
		t.Fatalf("%s: %s", resp.Status, body)
	}
	if p.Cursor == "" {
		t.Fatalf("%s without a cursor", resp.Status)
	}
	return p
}

// data returns the data of the messages.
func (p polled) data(t testing.TB) (list []string) {
	t.Helper()
	for _, m := range p.Messages {
		var e event
		if err := json.Unmarshal(m, &e); err != nil {
			t.Fatal(err)
		}
		list = append(list, string(e.Data))
	}
	return list
}

func TestPollGetsWhatComes(t *testing.T) {
	in := start(t, nil).ready()
	first := in.poll(nil, "channels=news&wait=0")
	if first.status != 204 {
		t.Fatalf("got %+v", first)
	}
	got := in.pollMeanwhile("channels=news&wait=10&cursor=" + url.QueryEscape(first.Cursor))
	eventually(t, "the poll waits", func() bool { return in.metric(`gateway_clients{transport="poll"}`) == 1 })
	in.redis.Publish("news", "1")
	p := (<-got)()
	if p.status != 200 || fmt.Sprint(p.data(t)) != "[1]" || len(p.Gaps) != 0 || p.More {
		t.Errorf("got %+v", p)
	}
}

func TestPollLosesNothingBetween(t *testing.T) {
	in := start(t, nil).ready()
	hc := &http.Client{Timeout: patience}
	defer hc.CloseIdleConnections()
	cursor := in.poll(hc, "channels=a,b&wait=0").Cursor
	next := map[string]int{}
	const messages = 300
	ahead := make(chan struct{}, 50) // stay within the ring
	go func() {
		for i := range messages {
			ahead <- struct{}{}
			in.redis.Publish("a", fmt.Sprintf(`["a",%d]`, i))
			in.redis.Publish("b", fmt.Sprintf(`["b",%d]`, i))
		}
	}()
	for begin := time.Now(); next["a"] < messages || next["b"] < messages; {
		if time.Since(begin) > patience {
			t.Fatalf("still missing after %v: got %v", patience, next)
		}
		p := in.poll(hc, "channels=a,b&wait=5&max=7&cursor="+url.QueryEscape(cursor))
		if len(p.Gaps) > 0 || len(p.Messages) > 7 {
			t.Fatalf("gaps %v, %d messages", p.Gaps, len(p.Messages))
		}
		for _, d := range p.data(t) {
			var m []any
			json.Unmarshal([]byte(d), &m)
			channel, i := m[0].(string), int(m[1].(float64))
			if next[channel] != i {
				t.Fatalf("%s: got %d in place of %d", channel, i, next[channel])
			}
			next[channel]++
			if channel == "a" {
				<-ahead
			}
		}
		cursor = p.Cursor
	}
}

// However busy one channel is, a response has room for the others, and with room for one message it
// isn't always the same channel's.
func TestChannelsOfAPollTakeTurns(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	channels := []string{"quiet", "busy", "quiet-too"}
	query := "wait=0&channels=" + strings.Join(channels, ",")
	begin := in.poll(nil, query)
	keeper := in.subscribed(channels...)
	publish := func(n int, channels ...string) {
		for _, channel := range channels {
			for k := range n {
				in.redis.Publish(channel, k)
				keeper.expect("message")
			}
		}
	}
	publish(3, channels...)
	publish(200, "busy")
	count := map[string]int{}
	for _, m := range events(t, in.poll(nil, query+"&max=10&cursor="+begin.Cursor)) {
		count[m.Channel]++
	}
	if want := map[string]int{"quiet": 3, "quiet-too": 3, "busy": 4}; !maps.Equal(count, want) {
		t.Errorf("10 messages are %v, want %v", count, want)
	}
	clear(count)
	for p := begin; len(count) < len(channels); {
		if p = in.poll(nil, query+"&max=1&cursor="+p.Cursor); len(p.Messages) != 1 {
			t.Fatalf("after %v: %+v", count, p)
		}
		count[events(t, p)[0].Channel]++
	}
}

func TestPollTimesOut(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	begin := time.Now()
	p := in.poll(nil, "channels=quiet&wait=1")
	if d := time.Since(begin); p.status != 204 || d < 800*time.Millisecond || d > gateway.DefaultWait/2 {
		t.Errorf("%d after %v", p.status, d)
	}
}

func TestPollWithABody(t *testing.T) {
	in := start(t, nil).ready()
	post := func(body string) (int, string) {
		resp, err := gatewaytest.Once.Post("http://"+in.Addr()+"/v1/poll", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Poll-Cursor") + string(b)
	}
	status, cursor := post(`{"channels":["x","y"],"wait":0}`)
	if status != 204 {
		t.Fatalf("%d %s", status, cursor)
	}
	in.redis.Publish("y", "1")
	eventually(t, "the message is there", func() bool {
		status, body := post(fmt.Sprintf(`{"channels":["x","y"],"wait":0,"cursor":%q}`, cursor))
		return status == 200 && strings.Contains(body, `"data":1`)
	})
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"not json":    {`{"channels":`, 400},
		"no channels": {`{}`, 400},
		"long wait":   {`{"channels":["a"],"wait":99999}`, 400},
		"bad max":     {`{"channels":["a"],"max":0}`, 400},
		"bad cursor":  {`{"channels":["a"],"cursor":"cAAA"}`, 400},
		"bad channel": {`{"channels":["a b"]}`, 400},
		"wrong type":  {`{"channels":"a"}`, 400},
		"too big":     {`{"channels":["` + strings.Repeat("a", 70_000) + `"]}`, 413},
		"many":        {`{"channels":["` + strings.Repeat(`a","`, 500) + `b"]}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := post(tc.body); status != tc.status || !strings.Contains(body, `"error"`) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func TestPollBadQueries(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.ChannelsPerConnection = 10 })
	for _, query := range []string{
		"", "channels=", "channels=a&wait=56", "channels=a&wait=-1", "channels=a&wait=99999", "channels=a&wait=x", "channels=a&max=0",
		"channels=a&cursor=c", "channels=a&cursor=%00", "channels=" + strings.Repeat("a,", 11) + "b", "channels=a&format=yaml",
	} {
		if status, body := in.get("http://" + in.Addr() + "/v1/poll?" + query); status != 400 || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

func TestPipelinedPolls(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	request := func(wait string) string {
		return "GET /v1/poll?channels=p&wait=" + wait + " HTTP/1.1\r\nHost: x\r\n\r\n"
	}
	c := in.raw(request("0") + request("1") + strings.Replace(request("0"), "Host", "Connection: close\r\nHost", 1))
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(all), "HTTP/1.1 204 "); n != 3 || strings.Count(string(all), "Poll-Cursor: ") != 3 {
		t.Errorf("%d answers in %q", n, all)
	}
}

func TestPollerThatGoesIsNoticed(t *testing.T) {
	in := start(t, nil).ready()
	c := in.raw("GET /v1/poll?channels=p&wait=50 HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the poll waits", func() bool { return in.metric(`gateway_clients{transport="poll"}`) == 1 })
	begin := time.Now()
	c.Close()
	eventually(t, "it is gone", func() bool { return in.totals().connections == 0 })
	if d := time.Since(begin); d > 20*time.Second { // its wait is 45 s at least
		t.Errorf("noticed after %v", d)
	}
	if n := in.metric("gateway_subscriptions"); n != 0 {
		t.Errorf("%v subscriptions are left", n)
	}
}

func TestPollAcrossNodes(t *testing.T) {
	t.Parallel()
	a := start(t, nil).ready()
	b := startOn(t, a.redis, nil).ready()
	cursor := a.poll(nil, "channels=plain&wait=0").Cursor
	p := b.poll(nil, "channels=plain&wait=5&cursor="+cursor)
	if p.status != 200 || fmt.Sprint(p.Gaps) != "[plain]" {
		t.Errorf("a plain position of another node: %+v", p)
	}
}

func TestPollRaw(t *testing.T) {
	in := start(t, nil).ready()
	cursor := in.poll(nil, "channels=r&wait=0").Cursor
	in.redis.Publish("r", `{"a":1}`)
	in.redis.Publish("r", "text")
	var got []string
	for len(got) < 2 {
		p := in.poll(nil, "channels=r&format=raw&wait=5&cursor="+cursor)
		for _, m := range p.Messages {
			got = append(got, string(m))
		}
		cursor = p.Cursor
	}
	if fmt.Sprint(got) != `[{"a":1} "text"]` {
		t.Errorf("got %s", got)
	}
}

func TestPollWhileDraining(t *testing.T) {
	in := start(t, nil).ready()
	got := in.pollMeanwhile("channels=d&wait=50")
	eventually(t, "the poll waits", func() bool { return in.metric(`gateway_clients{transport="poll"}`) == 1 })
	in.stop()
	if p := (<-got)(); p.status != 204 {
		t.Errorf("got %+v", p)
	}
}

// Polls that share a response get the current date.
func TestQuietPollsHaveTheDate(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	in.events("/v1/sse?channels=c", "").expect("subscribed") // the channel stays
	cursor, last := "", time.Time{}
	for range 3 {
		resp, err := gatewaytest.Once.Get("http://" + in.Addr() + "/v1/poll?channels=c&wait=2&cursor=" + cursor)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		cursor = resp.Header.Get("Poll-Cursor")
		at, err := http.ParseTime(resp.Header.Get("Date"))
		if err != nil || at.Sub(last) < time.Second {
			t.Errorf("an answer of %v, %v came after one of %v", at, err, last)
		}
		last = at
	}
}
