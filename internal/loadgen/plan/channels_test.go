package plan

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestChannelsOfClients(t *testing.T) {
	tests := map[string]struct {
		list    string
		clients int
		want    map[uint32]string // client -> query
		total   uint32
	}{
		"shared":    {"news", 10, map[uint32]string{0: "news", 9: "news"}, 1},
		"spread":    {"room.%d{3}", 10, map[uint32]string{0: "room.0", 2: "room.2", 3: "room.0", 9: "room.0"}, 3},
		"own":       {"user.%i", 10, map[uint32]string{0: "user.0", 9: "user.9"}, 10},
		"several":   {"room.%d{3}.a, user.%i,news", 4, map[uint32]string{3: "room.0.a,user.3,news"}, 8},
		"escaped":   {"a+b#c=d", 1, map[uint32]string{0: "a%2Bb%23c%3Dd"}, 1},
		"near miss": {"a.%d{10},a.1%d{5},a.00", 1, map[uint32]string{0: "a.0,a.10,a.00"}, 16},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := ParseChannels(tt.list, tt.clients)
			if err != nil {
				t.Fatal(err)
			}
			if c.Total() != tt.total {
				t.Errorf("%d channels, want %d", c.Total(), tt.total)
			}
			for client, want := range tt.want {
				if got := string(c.appendQuery(nil, client)); got != want {
					t.Errorf("client %d: %s, want %s", client, got, want)
				}
			}
		})
	}
}

func TestParseChannelsRefuses(t *testing.T) {
	tests := map[string]struct{ list, want string }{
		"empty":          {"", "1 to 200 bytes"},
		"hole":           {"a,,b", "1 to 200 bytes"},
		"space":          {"a b", "not allowed"},
		"bare percent":   {"a%", "want %i or %d{COUNT}"},
		"no count":       {"a%d", "want %i or %d{COUNT}"},
		"zero":           {"a%d{0}", "count of 1 to"},
		"unclosed":       {"a%d{5", "count of 1 to"},
		"too many":       {"a%d{99999999}", "count of 1 to"},
		"two":            {"a%i.%i", "not allowed"},
		"long":           {strings.Repeat("x", 201), "1 to 200 bytes"},
		"doubled":        {"a,b,a", "earlier template"},
		"inside another": {"room.%d{100},room.42", "earlier template"},
		"overlap":        {"room.%d{100},room.1%d{5}", "earlier template"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseChannels(tt.list, 10)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// Numbers and names of channels are one to one, each client finds its own
// channels and no others, and the query says the same to a server.
func TestChannelsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clients := rapid.IntRange(1, 50).Draw(t, "clients")
		list := rapid.SampledFrom([]string{"n", "r.%d{7}", "u.%i", "n,r.%d{7}", "u.%i,r.%d{3},q.%d{60}.z", "a+b,c#%i"}).Draw(t, "list")
		c, err := ParseChannels(list, clients)
		if err != nil {
			t.Fatal(err)
		}
		names := make(map[string]uint32)
		for ch := range c.Total() {
			names[string(c.AppendName(nil, ch))] = ch
		}
		if len(names) != int(c.Total()) {
			t.Fatalf("%d names for %d channels", len(names), c.Total())
		}
		client := uint32(rapid.IntRange(0, clients-1).Draw(t, "client"))
		q, err := url.ParseQuery("channels=" + string(c.appendQuery(nil, client)))
		if err != nil {
			t.Fatal(err)
		}
		mine := make(map[uint32]int)
		for k, name := range strings.Split(q.Get("channels"), ",") {
			mine[names[name]] = k
		}
		for ch := range c.Total() {
			k, ok := c.Find(client, ch)
			if want, has := mine[ch]; ok != has || k != want {
				t.Fatalf("client %d, channel %d: found %d %v, want %d %v", client, ch, k, ok, want, has)
			}
		}
	})
}

func FuzzParseChannels(f *testing.F) {
	for _, s := range []string{"news", "room.%d{1000},user.%i", "a%d{5", "%i", "a,a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Count(s, "{") > 1 && len(s) > 24 {
			return // two wide templates only cost time here
		}
		c, err := ParseChannels(s, 3)
		if err != nil {
			return
		}
		for k := range c.PerClient() {
			if name := c.AppendName(nil, c.Of(2, k)); len(name) == 0 || len(name) > MaxChannelName {
				t.Fatalf("%q makes the channel %q", s, name)
			}
		}
	})
}
