package interop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// patience is the longest wait for a condition.
const patience = gatewaytest.Patience

// gateway is a running gateway.
type gateway struct {
	*gatewaytest.Process
	t testing.TB
}

// startGateway runs the program with a Redis of its own until the test ends. Its
// heartbeat is quick, so that every client that stays is pinged. Further flags
// override its own.
func startGateway(t testing.TB, flags ...string) *gateway {
	t.Helper()
	return startGatewayOn(t, redistest.Start(t), flags...)
}

// startGatewayOn runs another one on a Redis that is there.
func startGatewayOn(t testing.TB, redis *redistest.Server, flags ...string) *gateway {
	t.Helper()
	own := []string{"--heartbeat.interval", "400ms", "--heartbeat.timeout", "400ms", "--drain.timeout", "500ms"}
	if !slices.Contains(flags, "--origins") {
		own = append(own, "--origins", "http://127.0.0.1:*")
	}
	return &gateway{gatewaytest.Start(t, program, redis, nil, append(own, flags...)...), t}
}

// messages is how many are published to each client; one of them is large, and
// one has characters of every length.
const (
	messages  = 100
	largeOne  = 50
	largeSize = 64 << 10
	speechOne = 51
	speech    = "aä€𝄞"
)

// publish publishes the messages, in order.
func (g *gateway) publish(channel string) {
	g.t.Helper()
	for n := range messages {
		text := ""
		switch n {
		case largeOne:
			text = strings.Repeat("x", largeSize)
		case speechOne:
			text = speech
		}
		payload, err := json.Marshal(map[string]any{"n": n, "text": text})
		if err != nil {
			g.t.Fatal(err)
		}
		if g.Redis.Publish(channel, payload) != 1 {
			g.t.Fatal("the gateway isn't subscribed")
		}
	}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	return gatewaytest.Get(t, url)
}

func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	gatewaytest.Eventually(t, what, fn)
}
