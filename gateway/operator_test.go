package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// call sends a request to the admin listener and decodes the response into out, unless that is nil.
func (in *instance) call(method, path, body string, out any) int {
	in.t.Helper()
	return gatewaytest.Call(in.t, method, "http://"+in.AdminAddr()+path, body, out)
}

// failure is an error as the admin listener writes it.
type failure struct {
	Error struct{ Code, Message string }
}

// publishedResult is the result of one message.
type publishedResult struct {
	Channel string
	ID      string
	Error   *struct{ Code, Message string }
}

func TestOperatorPublishesOne(t *testing.T) {
	in := start(t, nil).ready()
	c := in.subscribed("news")
	var r publishedResult
	if status := in.call("POST", "/v1/publish", `{"channel":"news","data":{"a": 1}}`, &r); status != 200 || r.Channel != "news" || r.ID != "" {
		t.Fatalf("plain: %d %+v", status, r)
	}
	if e := c.expect("message"); string(e.Data) != `{"a": 1}` {
		t.Fatalf("got %s", e.Data)
	}
	body := `{"channel":"news","data":"kept","durable":true,"idempotency_key":"order-17"}`
	if status := in.call("POST", "/v1/publish", body, &r); status != 200 || r.ID == "" {
		t.Fatalf("durable: %d %+v", status, r)
	}
	if e := c.expect("message"); string(e.Data) != `"kept"` || e.ID != r.ID {
		t.Fatalf("got %+v, want id %s", e, r.ID)
	}
	first := r.ID
	if status := in.call("POST", "/v1/publish", body, &r); status != 200 || r.ID != first {
		t.Fatalf("the same again: %d %+v, want id %s", status, r, first)
	}
	in.call("POST", "/v1/publish", `{"channel":"news","data_base64":"/wA="}`, &r)
	if e := c.expect("message"); e.DataBase64 != "/wA=" {
		t.Fatalf("got %+v", e)
	}
}

func TestOperatorPublishesBatches(t *testing.T) {
	in := start(t, nil).ready()
	channels := []string{"one", "two", "three"}
	clients := map[string]*client{}
	for _, name := range channels {
		clients[name] = in.subscribed(name)
	}
	const each = 100
	var messages []string
	for i := range each {
		for k, name := range channels {
			messages = append(messages, fmt.Sprintf(`{"channel":%q,"data":%d,"durable":%v}`, name, i, (i+k)%2 == 0))
		}
	}
	list := "[" + strings.Join(messages, ",") + "]"
	for _, body := range []string{list, `{"messages":` + list + `}`} {
		var a struct{ Results []publishedResult }
		if status := in.call("POST", "/v1/publish", body, &a); status != 200 || len(a.Results) != len(messages) {
			t.Fatalf("%d with %d results", status, len(a.Results))
		}
		for i, r := range a.Results {
			want := channels[i%len(channels)]
			if r.Error != nil || r.Channel != want || (r.ID != "") != ((i/3+i%3)%2 == 0) {
				t.Fatalf("result %d: %+v", i, r)
			}
		}
		for name, c := range clients {
			for i := range each {
				if e := c.expect("message"); string(e.Data) != fmt.Sprint(i) {
					t.Fatalf("%s got %s, want %d", name, e.Data, i)
				}
			}
		}
	}
}

func TestOperatorPublishRefuses(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.PayloadBytes = 2048 }).ready()
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"no JSON":            {`channel=news&data=1`, 400, "bad_request"},
		"no channel":         {`{"data":1}`, 400, "invalid_channel"},
		"bad channel":        {`{"channel":"a b","data":1}`, 400, "invalid_channel"},
		"no data":            {`{"channel":"a"}`, 400, "bad_request"},
		"two data":           {`{"channel":"a","data":1,"data_base64":""}`, 400, "bad_request"},
		"bad base64":         {`{"channel":"a","data_base64":"?"}`, 400, "bad_request"},
		"slip in a name":     {`{"channel":"a","data":1,"durible":true}`, 400, "bad_request"},
		"durable as text":    {`{"channel":"a","data":1,"durable":"yes"}`, 400, "bad_request"},
		"key for a plain":    {`{"channel":"a","data":1,"idempotency_key":"k"}`, 400, "bad_request"},
		"long key":           {`{"channel":"a","data":1,"durable":true,"idempotency_key":"` + strings.Repeat("k", 201) + `"}`, 400, "bad_request"},
		"looks durable":      {`{"channel":"a","data_base64":"HjEtMR54"}`, 400, "bad_request"},
		"more than a client": {`{"channel":"a","data":"` + strings.Repeat("x", 2047) + `"}`, 413, "too_large"},
		"a body too large":   {`{"channel":"a","data":"` + strings.Repeat("x", 8<<20) + `"}`, 413, "too_large"},
		"a batch too long":   {"[" + strings.Repeat("1,", 1000) + "1]", 413, "too_large"},
		"an empty batch":     {"[]", 400, "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			var f failure
			if status := in.call("POST", "/v1/publish", test.body, &f); status != test.status || f.Error.Code != test.code || f.Error.Message == "" {
				t.Errorf("%d %+v, want %d %s", status, f, test.status, test.code)
			}
		})
	}
	var f failure
	if status := in.call("GET", "/v1/publish", "", &f); status != 405 || f.Error.Code != "method_not_allowed" {
		t.Errorf("GET: %d %+v", status, f)
	}
	if status := in.call("GET", "/v1/absent", "", &f); status != 404 || f.Error.Code != "not_found" {
		t.Errorf("another path: %d %+v", status, f)
	}
	// Each message of a batch has its own result.
	var a struct{ Results []publishedResult }
	status := in.call("POST", "/v1/publish", `[{"channel":"a","data":1},7,{"channel":"b"},{"channel":"c","data":1,"durable":true}]`, &a)
	if status != 200 || len(a.Results) != 4 {
		t.Fatalf("%d %+v", status, a)
	}
	for i, fails := range []bool{false, true, true, false} {
		if (a.Results[i].Error != nil) != fails {
			t.Errorf("result %d: %+v", i, a.Results[i])
		}
	}
	if a.Results[2].Channel != "b" || a.Results[3].ID == "" {
		t.Errorf("results: %+v", a.Results)
	}
}

func TestOperatorPublishWithoutRedis(t *testing.T) {
	in := start(t, nil).ready()
	in.redis.Kill()
	var a struct {
		failure
		Results []publishedResult
	}
	for _, body := range []string{`{"channel":"a","data":1}`, `[{"channel":"a","data":1},{"channel":"a","data":1,"durable":true}]`} {
		if status := in.call("POST", "/v1/publish", body, &a); status != 503 || a.Error.Code != "broker_unavailable" {
			t.Errorf("%s: %d %+v", body, status, a)
		}
	}
	if len(a.Results) != 2 || a.Results[1].Error == nil {
		t.Errorf("results: %+v", a.Results)
	}
}

func TestOperatorPublishesByTheRules(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"kept.*"}, Durable: true, MaxLen: 10, TTL: time.Minute}}
	}).ready()
	batch := make([]string, 500)
	for i := range batch {
		batch[i] = fmt.Sprintf(`{"channel":"kept.a","data":%d}`, i)
	}
	in.call("POST", "/v1/publish", "["+strings.Join(batch, ",")+"]", nil)
	ctx := context.Background()
	if n := in.redis.Client.XLen(ctx, "{push:kept.a}:log").Val(); n < 10 || n > 210 {
		t.Errorf("the stream keeps %d messages, want about 10", n)
	}
	if ttl := in.redis.Client.TTL(ctx, "{push:kept.a}:log").Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("the stream is kept for %v", ttl)
	}
	var r publishedResult
	in.call("POST", "/v1/publish", `{"channel":"kept.b","data":1,"durable":false}`, &r)
	if n := in.redis.Client.Exists(ctx, "{push:kept.b}:log").Val(); n != 0 || r.ID != "" {
		t.Errorf("a plain message was kept: %+v", r)
	}
}

func TestAdminRootShowsTheConsole(t *testing.T) {
	in := start(t, nil)
	if status, body := in.get("http://" + in.AdminAddr() + "/"); status != 200 || !strings.Contains(body, "<html") {
		t.Errorf("%d %.200s", status, body)
	}
	if status, _ := in.get("http://" + in.AdminAddr() + "/nothing"); status != 404 {
		t.Errorf("an unknown path: %d", status)
	}
}

func TestAdminToken(t *testing.T) {
	const token = "sixteen bytes or more"
	in := start(t, func(c *gateway.Config) { c.Admin.Token = token }).ready()
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200,
		"/metrics": 401, "/debug/pprof/": 401, "/console/": 401, "/v1/channels": 401, "/v1/connections": 401, "/": 401,
	} {
		if status, _ := in.get("http://" + in.AdminAddr() + path); status != want {
			t.Errorf("%s without the token: %d, want %d", path, status, want)
		}
		if want == 200 || path == "/" {
			continue
		}
		r, _ := http.NewRequest("GET", "http://"+in.AdminAddr()+path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := gatewaytest.Once.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Errorf("%s with the token: %d", path, answer.StatusCode)
		}
	}
	if status := in.call("POST", "/v1/publish", `{"channel":"a","data":1}`, nil); status != 401 {
		t.Errorf("publishing without the token: %d", status)
	}
	if status := in.call("DELETE", "/v1/connections?transport=sse", "", nil); status != 401 {
		t.Errorf("closing without the token: %d", status)
	}
}

// Successive pages hold everything once.
func pages[T any](t *testing.T, in *instance, path string, read func(in *instance, path string) (list []T, next string)) (all []T) {
	t.Helper()
	cursor := ""
	for range 1000 {
		list, next := read(in, path+"&cursor="+cursor)
		all = append(all, list...)
		if next == "" {
			return all
		}
		if len(list) == 0 {
			t.Fatalf("an empty page goes on at %s", next)
		}
		cursor = next
	}
	t.Fatal("the pages have no end")
	return nil
}

// sorted returns a sorted copy.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
