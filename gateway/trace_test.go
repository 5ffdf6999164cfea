package gateway_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// At level debug the log names rejected and closed clients, with the reason.
func TestTrace(t *testing.T) {
	in := startLogged(t, slog.LevelDebug, func(c *gateway.Config) { c.Shards = 1 }).ready()
	c := in.dial("/v1/ws")
	id := c.expect("welcome").Connection
	c.Close()
	in.get("http://" + in.Addr() + "/v1/poll?channels=a%20b")
	answerOf(t, in.raw(withHeader(get("/v1/poll?channels=a"), "Origin: https://evil.example")))
	for _, want := range []string{
		"level=DEBUG msg=closed shard=0 reason=client transport=websocket subject=\"\" connection=" + id + " address=127.0.0.1:",
		"level=DEBUG msg=refused shard=0 status=400 code=invalid_channel",
		"level=DEBUG msg=refused shard=0 status=403 code=origin_not_allowed",
		"origin=https://evil.example",
	} {
		eventually(t, "the log has "+want, func() bool { return strings.Contains(in.log.String(), want) })
	}
}
