package gateway_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/admin"
)

// channelList is the response to GET /v1/channels.
type channelList struct {
	Node     string
	Total    int
	Channels []admin.Channel
	Next     string
}

func readChannels(in *instance, path string) ([]admin.Channel, string) {
	in.t.Helper()
	var l channelList
	if status := in.call("GET", path, "", &l); status != 200 {
		in.t.Fatalf("%s: %d", path, status)
	}
	return l.Channels, l.Next
}

func TestOperatorListsChannels(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Shards = 3 }).ready()
	want := map[string]int{}
	for i := range 12 {
		names := []string{"all", fmt.Sprintf("user.%02d", i)}
		if i%3 == 0 {
			names = append(names, "some")
		}
		in.subscribed(names...)
		for _, name := range names {
			want[name]++
		}
	}
	var l channelList
	if status := in.call("GET", "/v1/channels", "", &l); status != 200 || l.Total != 14 || l.Next != "" || l.Node != in.node {
		t.Fatalf("%d %+v", status, l)
	}
	for _, ch := range l.Channels {
		if ch.Subscribers != want[ch.Name] {
			t.Errorf("%s has %d subscribers, want %d", ch.Name, ch.Subscribers, want[ch.Name])
		}
	}
	if l.Channels[0].Name != "all" || l.Channels[1].Name != "some" || l.Channels[2].Name != "user.00" {
		t.Errorf("the first are %+v", l.Channels[:3])
	}
	for _, path := range []string{"/v1/channels?sort=name", "/v1/channels?sort=subscribers"} {
		whole, _ := readChannels(in, path)
		for _, limit := range []int{1, 5, 13} {
			if got := pages(t, in, fmt.Sprintf("%s&limit=%d", path, limit), readChannels); !slices.Equal(got, whole) {
				t.Errorf("%s by %d: %+v\nwant %+v", path, limit, got, whole)
			}
		}
	}
	in.call("GET", "/v1/channels?prefix=user.0&sort=name&limit=3", "", &l)
	if l.Total != 10 || len(l.Channels) != 3 || l.Channels[0].Name != "user.00" {
		t.Errorf("with a prefix: %+v", l)
	}
	l = channelList{}
	in.call("GET", "/v1/channels?prefix=absent", "", &l)
	if l.Total != 0 || l.Channels == nil || len(l.Channels) != 0 {
		t.Errorf("nothing: %+v", l)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "sort=size", "cursor=x", "cursor=x,y", "prefx=a", "limit=1&limit=2", "%zz"} {
		var f failure
		if status := in.call("GET", "/v1/channels?"+query, "", &f); status != 400 || f.Error.Code != "bad_request" {
			t.Errorf("%s: %d %+v", query, status, f)
		}
	}
}

// A list over many channels is made of slices, and its memory is bound.
func TestOperatorListsManyChannels(t *testing.T) {
	in := start(t, nil).ready()
	const many = 3*gateway.ChannelsPerSlice + 17
	in.Populate(many, func(shard, i int) string { return fmt.Sprint("c", i+shard*many/2) })
	defer in.Depopulate()
	var page channelList
	status := in.call("GET", "/v1/channels?sort=subscribers&limit=10", "", &page)
	if status != 200 || page.Total != many+many/2 || page.Channels[0].Subscribers != 2 || page.Channels[9].Subscribers != 2 {
		t.Fatalf("%d %+v, want a total of %d", status, page, many+many/2)
	}
}

func TestOperatorTellsOfOneChannel(t *testing.T) {
	in := start(t, nil).ready()
	c := in.subscribed("news/a", "news")
	in.subscribed("news")
	var d admin.ChannelDetail
	if status := in.call("GET", "/v1/channels/news", "", &d); status != 200 || d.Subscribers != 2 || !d.Subscribed || d.Durable != "" || d.Ring.Messages != 0 {
		t.Fatalf("%d %+v", status, d)
	}
	var r publishedResult
	in.call("POST", "/v1/publish", `{"channel":"news","data":1,"durable":true}`, &r)
	in.redis.Publish("news", "plain")
	c.expect("message")
	plain := c.expect("message").ID
	in.call("GET", "/v1/channels/news", "", &d)
	if d.Durable != r.ID || d.Ring.Messages != 2 || d.Ring.First != r.ID || d.Position != plain || d.Node != in.node {
		t.Errorf("%+v, want durable %s", d, r.ID)
	}
	// A slash is a part of the name, written either way.
	for _, path := range []string{"/v1/channels/news/a", "/v1/channels/news%2Fa"} {
		d = admin.ChannelDetail{}
		if in.call("GET", path, "", &d); d.Name != "news/a" || d.Subscribers != 1 {
			t.Errorf("%s: %+v", path, d)
		}
	}
	d = admin.ChannelDetail{}
	if status := in.call("GET", "/v1/channels/absent", "", &d); status != 200 || d.Subscribers != 0 || d.Subscribed {
		t.Errorf("a channel that nobody wants: %d %+v", status, d)
	}
	var f failure
	if status := in.call("GET", "/v1/channels/a%20b", "", &f); status != 400 || f.Error.Code != "invalid_channel" {
		t.Errorf("a bad name: %d %+v", status, f)
	}
}

func TestOperatorForgetsAHistory(t *testing.T) {
	in := start(t, nil).ready()
	for _, channel := range []string{"news", "a/history", "a/b"} {
		durable(t, in.redis, channel, 0, 3)
	}
	var done struct {
		Channel   string
		Forgotten int
	}
	for path, channel := range map[string]string{"news": "news", "a/history": "a/history", "a%2Fb": "a/b"} {
		if status := in.call("DELETE", "/v1/channels/"+path+"/history", "", &done); status != 200 || done.Channel != channel || done.Forgotten != 3 {
			t.Errorf("%s: %d %+v", path, status, done)
		}
	}
	if status := in.call("DELETE", "/v1/channels/unused/history", "", &done); status != 200 || done.Forgotten != 0 {
		t.Errorf("%d %+v", status, done)
	}
	for path, want := range map[string]int{"/v1/channels/news": 405, "/v1/channels/a%20b/history": 400, "/v1/channels/history": 405, "/v1/channels/news/history?x=1": 400} {
		var f failure
		if status := in.call("DELETE", path, "", &f); status != want || f.Error.Code == "" {
			t.Errorf("%s: %d %+v", path, status, f)
		}
	}
	in.redis.Kill()
	var f failure
	if status := in.call("DELETE", "/v1/channels/news/history", "", &f); status != 503 || f.Error.Code != "broker_unavailable" {
		t.Errorf("without Redis: %d %+v", status, f)
	}
}
