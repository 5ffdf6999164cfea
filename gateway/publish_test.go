package gateway

import "testing"

// The id of a published message is there even where it is empty.
func TestPublishedHasAnID(t *testing.T) {
	in := start(t, func(c *Config) {
		c.Channels = []ChannelRule{{Match: []string{"open"}, Publish: true}}
	}).ready()
	c := in.dial("/v1/ws")
	c.expect("welcome")
	c.write(`{"type":"publish","channel":"open","data":1,"ref":4}`)
	if _, text, err := c.ReadMessage(); err != nil || string(text) != `{"type":"published","channel":"open","id":"","ref":4}` {
		t.Errorf("got %s, %v", text, err)
	}
}
