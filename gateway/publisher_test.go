package gateway_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// Publishes while Redis takes nothing are bounded in memory, whatever their size, and all accepted
// ones are published when Redis continues.
func TestPublicationsAreBounded(t *testing.T) {
	t.Parallel()
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"a"}, Publish: true}}
		c.Limits.TotalInputBytes = 1 << 20
	}).ready()
	c := in.dial("/v1/ws?channels=a")
	c.expect("welcome")
	c.expect("subscribed")
	in.redis.Signal(syscall.SIGSTOP)
	data := strings.Repeat("x", 60_000)
	publish := func(n int) {
		c.write(fmt.Sprintf(`{"type":"publish","channel":"a","data":"%s%d"}`, data, n))
	}
	const taken = 1 << 20 / gateway.PublishShare / 61_000
	for n := range taken {
		publish(n)
	}
	publish(taken)
	if e := c.expect("error"); e.Code != "overloaded" {
		t.Errorf("one too many got %+v", e)
	}
	in.redis.Signal(syscall.SIGCONT)
	for published, messages := 0, 0; published < taken || messages < taken; {
		switch e := c.next(); e.Type {
		case "published":
			published++
		case "message":
			if want := fmt.Sprintf(`"%s%d"`, data, messages); string(e.Data) != want {
				t.Fatalf("message %d is %.100s", messages, e.Data)
			}
			messages++
		default:
			t.Fatalf("%+v", e)
		}
	}
	if n := in.InputBytes(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}
