package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// At level debug the log says who was turned away, and who ended and why.
func TestTrace(t *testing.T) {
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
	var out bytes.Buffer // of the loop
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	in.onLoop(func(s *shard) bool { s.log = log; return true })
	c := in.dial("/v1/ws")
	id := c.expect("welcome").Connection
	c.Close()
	in.get("http://" + in.Addr() + "/v1/poll?channels=a%20b")
	answerOf(t, in.raw(withHeader(get("/v1/poll?channels=a"), "Origin: https://evil.example")))
	for _, want := range []string{
		"level=DEBUG msg=closed reason=client transport=websocket subject=\"\" connection=" + id + " address=127.0.0.1:",
		"level=DEBUG msg=refused status=400 code=invalid_channel",
		"level=DEBUG msg=refused status=403 code=origin_not_allowed",
		"origin=https://evil.example",
	} {
		eventually(t, "the log has "+want, func() bool {
			return in.onLoop(func(*shard) bool { return strings.Contains(out.String(), want) })
		})
	}
	in.onLoop(func(s *shard) bool { s.log = slog.New(slog.DiscardHandler); return true })
}
