package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/admin"
)

func TestJudgeFleet(t *testing.T) {
	node := func(name string, n int64) admin.Node {
		return admin.Node{Node: name, State: admin.Serving, Connections: n}
	}
	away := node("b", 0)
	away.State = admin.Draining
	for name, tc := range map[string]struct {
		nodes []admin.Node
		want  string
	}{
		"came back":        {[]admin.Node{node("a", 43), node("b", 257)}, "far fewer"},
		"has all":          {[]admin.Node{node("a", 257), node("b", 43)}, "far more"},
		"even":             {[]admin.Node{node("a", 140), node("b", 160)}, ""},
		"one of ten":       {[]admin.Node{node("a", 0), node("b", 100), node("c", 100), node("d", 100)}, "far fewer"},
		"the rest of ten":  {[]admin.Node{node("a", 1100), node("b", 1100), node("c", 1100), node("d", 1100), node("e", 0)}, ""},
		"a handful":        {[]admin.Node{node("a", 0), node("b", 40)}, ""},
		"alone":            {[]admin.Node{node("a", 1000)}, ""},
		"while one drains": {[]admin.Node{node("a", 1000), away}, ""},
		"not told of":      {[]admin.Node{node("b", 1000), node("c", 0)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			judge := FleetJudge("a", slog.New(slog.NewTextHandler(&text, nil)))
			for range unevenBeats - 1 {
				judge(tc.nodes, nil)
			}
			if text.Len() > 0 {
				t.Errorf("told too early: %s", &text)
			}
			for range 10 {
				judge(tc.nodes, nil)
			}
			lines := strings.Count(text.String(), "\n")
			if tc.want == "" && lines > 0 || tc.want != "" && (lines != 1 || !strings.Contains(text.String(), tc.want) || !strings.Contains(text.String(), `fix="gateway rebalance"`)) {
				t.Errorf("want %q once, got\n%s", tc.want, &text)
			}
		})
	}
}
