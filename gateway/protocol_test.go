package gateway_test

import (
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// An error names the fault in the client's terms, with the message's ref.
func TestErrorsOfMessages(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"open"}, Publish: true}}
	}).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	for message, want := range map[string]event{
		`{"type":"ping","ref":null}`:                 {Type: "pong"},
		`{"type":"subscribe","channel":5,"ref":8}`:   {Type: "error", Code: "bad_message", Message: "channel is to be a string, not such a number", Ref: []byte("8")},
		`{"ref":"x","type":["ping"]}`:                {Type: "error", Code: "bad_message", Message: "type is to be a string, not an array", Ref: []byte(`"x"`)},
		`{"type":"subscribe","channel":{},"ref":[]}`: {Type: "error", Code: "bad_message", Message: "channel is to be a string, not an object"},
		`{"type":"ping","ref":true}`:                 {Type: "error", Code: "bad_message", Message: "ref is a number or a string"},
		`[]`:                                         {Type: "error", Code: "bad_message", Message: "it is to be an object, not an array"},
		`{"type":`:                                   {Type: "error", Code: "bad_message", Message: "unexpected end of JSON input"},
		`{"type":"publish","channel":"open","data":1,"ref":4}`: {Type: "published", Channel: "open", Ref: []byte("4")},
	} {
		c.write(message)
		e := c.next()
		if e.Type != want.Type || e.Code != want.Code || e.Channel != want.Channel || string(e.Ref) != string(want.Ref) || !strings.Contains(e.Message, want.Message) {
			t.Errorf("%s: got %+v, want %+v", message, e, want)
		}
		if strings.Contains(e.Message, "Go ") || strings.Contains(e.Message, "json:") {
			t.Errorf("%s: Go shows in %q", message, e.Message)
		}
	}
}
