package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
)

// marked is "\x1e1-1\x1ehello" in base64: a payload that would pass for a durable
// message's.
const marked = `{"channel":"a","data_base64":"HjEtMR5oZWxsbw=="}`

// A payload that could pass for another message is the publisher's error, on every way to publish.
func TestMarkedPayloadIsABadRequest(t *testing.T) {
	t.Parallel()
	open := start(t, func(c *gateway.Config) { c.Channels = []gateway.ChannelRule{{Match: []string{"**"}, Publish: true}} }).ready()
	signed := start(t, withTokens).ready()
	nobody := token(t, auth.Claims{Publish: []string{"a"}, Subscribe: []string{"a"}})
	with := func(in *instance, head string) outcome {
		return in.ask(strings.Replace(postHead("/v1/publish", marked), "Host: a\r\n", "Host: a\r\n"+head, 1))
	}
	for name, got := range map[string]outcome{
		"anonymous":         with(open, ""),
		"without a subject": with(signed, "Authorization: Bearer "+nobody+"\r\n"),
	} {
		if got.status != 400 || got.code != "bad_request" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	for _, c := range []struct {
		body   string
		status int
	}{{marked, 400}, {"[" + marked + "]", 200}} { // a batch reports it for each
		status, body := open.post("/v1/publish", c.body)
		if text := fmt.Sprint(body); status != c.status || !strings.Contains(text, "bad_request") || !strings.Contains(text, "0x1E") {
			t.Errorf("the operator gets %d %v", status, body)
		}
	}
}
