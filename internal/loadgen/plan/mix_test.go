package plan

import (
	"strings"
	"testing"
)

func TestDeal(t *testing.T) {
	tests := map[string]struct {
		mix     Transport
		clients int
		want    map[Transport]int
		err     string
	}{
		"one":       {"sse", 5, map[Transport]int{SSE: 5}, ""},
		"even":      {"ws:1,sse:1", 10, map[Transport]int{WebSocket: 5, SSE: 5}, ""},
		"shares":    {"ws:70,sse:20,poll:10", 1000, map[Transport]int{WebSocket: 700, SSE: 200, Poll: 100}, ""},
		"rounding":  {"ws:1,sse:1,poll:1", 10, map[Transport]int{WebSocket: 3, SSE: 4, Poll: 3}, ""},
		"too few":   {"ws:98,sse:1,poll:1", 1, map[Transport]int{WebSocket: 1}, ""},
		"unknown":   {"tcp:1", 1, nil, "want ws, sse or poll"},
		"no weight": {"ws,sse", 1, nil, "want ws, sse or poll"},
		"zero":      {"ws:0,sse:1", 1, nil, "want ws, sse or poll"},
		"twice":     {"ws:1,ws:1", 1, nil, "stands in it twice"},
		"empty":     {"", 1, nil, "want ws, sse or poll"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			shares, err := tt.mix.shares()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[Transport]int)
			p := Plan{mix: deal(shares, tt.clients)}
			for _, x := range shares {
				p.Kinds = append(p.Kinds, x.kind)
			}
			for i := range tt.clients {
				got[p.Kind(uint32(i))]++
			}
			for kind, n := range tt.want {
				if got[kind] != n {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
}
