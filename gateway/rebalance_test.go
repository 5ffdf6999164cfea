package gateway_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

func (in *instance) post(path, body string) (int, map[string]any) {
	in.t.Helper()
	resp, err := gatewaytest.Once.Post("http://"+in.AdminAddr()+path, "application/json", strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		in.t.Fatalf("%s: %s", resp.Status, text)
	}
	return resp.StatusCode, v
}

func TestRebalance(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Drain.Reconnect = 200 * time.Millisecond }).ready()
	const n = 50
	gone := make(chan event, n)
	for range n {
		c := in.dial("/v1/ws")
		c.expect("welcome")
		go func() {
			var e event
			if c.ReadJSON(&e) == nil {
				gone <- e
			}
		}()
	}
	for _, bad := range []string{`{"fraction":0}`, `{"fraction":1.5}`, `{"fraction":0.5,"over":"soon"}`, `[]`, `{}`, `{"fraction":0.2,"ovr":"1s"}`} {
		if status, _ := in.post("/v1/drain", bad); status != 400 {
			t.Errorf("%s: %d", bad, status)
		}
	}
	if status, _ := in.post("/v1/drain?fraction=0.2", ""); status != 400 {
		t.Errorf("a fraction in the query: %d", status)
	}
	if status, v := in.post("/v1/drain", `{"fraction":0.2,"over":"500ms"}`); status != 202 || v["connections"] != float64(n) {
		t.Fatalf("%d %v", status, v)
	}
	eventually(t, "the rebalance is over", func() bool {
		// Even one without clients is refused while another runs.
		status, _ := in.post("/v1/drain", `{"fraction":0.001,"over":"0s"}`)
		return status == 202
	})
	// Each shard rounds down its own share.
	eventually(t, "a fifth has left", func() bool { return len(gone) >= n/5-1 })
	if len(gone) > n/5 {
		t.Errorf("%d of %d have left", len(gone), n)
	}
	for range len(gone) {
		if e := <-gone; e.Type != "bye" || e.Reason != "rebalance" || e.ReconnectAfterMS < 1 || e.ReconnectAfterMS > 200 {
			t.Errorf("got %+v", e)
		}
	}
	if in.Ready() != nil {
		t.Error("a rebalance is no shutdown")
	}
}

// One drain or rebalance runs at a time, and the operator gets its reason and end. A shutdown
// doesn't wait.
func TestRebalanceBesideAnother(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Drain.Timeout = time.Minute }).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	refused := func(running string) {
		t.Helper()
		var f failure
		status := in.call("POST", "/v1/drain", `{"fraction":0.1,"over":"1s"}`, &f)
		if status != 409 || f.Error.Code != "busy" {
			t.Fatalf("%d %+v", status, f)
		}
		until, ok := strings.CutPrefix(f.Error.Message, "a "+running+" runs until ")
		end, err := time.Parse(time.RFC3339, until)
		if d := time.Until(end); !ok || err != nil || d < -time.Second || d > time.Minute+time.Second {
			t.Errorf("it says %q", f.Error.Message)
		}
	}
	if status, _ := in.post("/v1/drain", `{"fraction":0.1,"over":"0s"}`); status != 202 {
		t.Fatal(status)
	}
	eventually(t, "the short one is over", func() bool {
		status, _ := in.post("/v1/drain", `{"fraction":0.1,"over":"1m"}`)
		return status == 202
	})
	refused("rebalance")
	if status, _ := in.post("/v1/drain", ""); status != 202 {
		t.Fatal("a rebalance holds up the shutdown")
	}
	eventually(t, "the drain has begun", func() bool { return in.DrainBegun() })
	refused("drain")
}

func TestDrainByTheAdmin(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	if status, body := in.get("http://" + in.AdminAddr() + "/v1/drain"); status != 405 || !strings.Contains(body, "POST") {
		t.Fatalf("a GET drains, or isn't told what does: %d %s", status, body)
	}
	if status, _ := in.post("/v1/drain", ""); status != 202 {
		t.Fatal(status)
	}
	if e := c.expect("bye"); e.Reason != "drain" {
		t.Errorf("got %+v", e)
	}
	if code := c.closed(); code != 1012 {
		t.Errorf("closed with %d", code)
	}
	c.Close()
	if err := <-in.ended; err != nil {
		t.Error(err)
	}
}

func TestDrainRate(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Drain.Rate = 20
		c.Drain.Timeout = time.Hour
	}).ready()
	const n = 20
	left := make(chan time.Time, n)
	for range n {
		c := in.dial("/v1/ws")
		c.expect("welcome")
		go func() {
			c.ReadMessage()
			left <- time.Now()
		}()
	}
	in.stop()
	var times []time.Time
	for range n {
		times = append(times, <-left)
	}
	slices.SortFunc(times, time.Time.Compare)
	if d := times[n-1].Sub(times[0]); d < 500*time.Millisecond || d > patience/2 {
		t.Errorf("20 connections at 20 a second took %v", d)
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) { c.Drain.MaxAge = time.Second }).ready()
	begin := time.Now()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	// Heartbeats are 25 s apart, drain.reconnect is 2 s.
	if e := c.expect("bye"); e.Reason != "max_age" || e.ReconnectAfterMS > 2000 {
		t.Errorf("got %+v", e)
	}
	if d := time.Since(begin); d < 700*time.Millisecond || d > 20*time.Second {
		t.Errorf("after %v", d)
	}
	if code := c.closed(); code != 1012 {
		t.Errorf("closed with %d", code)
	}
}
