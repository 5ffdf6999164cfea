package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// A client that catches up without reading gets one page, while another gets everything it
// requests.
func TestDeafClientsAreGivenAPage(t *testing.T) {
	t.Parallel()
	const deaf, past, size = 3, 60, 60_000
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	since := in.history("h", past, size)
	for range deaf {
		c := in.dialLazy("/v1/ws")
		c.expect("welcome")
		c.write(fmt.Sprintf(`{"type":"subscribe","channel":"h","since":%q}`, since))
	}
	eventually(t, "pages wait for them", func() bool { return in.totals().queues == deaf })
	c := in.dial("/v1/ws?channels=h&since=" + since)
	c.expect("welcome")
	c.expect("subscribed")
	c.expect("gap")
	for range past {
		c.expect("message")
	}
	page := uint64(gateway.CrowdedBytes / size)
	if n := in.totals().deliveries; n > past+deaf*page {
		t.Errorf("%d messages were sent to clients that don't read", n-past)
	}
	if n := in.totals().queueBytes; n > deaf*(gateway.CrowdedBytes+size) {
		t.Errorf("%d bytes wait for them", n)
	}
}

// A poll gets a page, and its cursor continues behind it, also if plain messages follow the
// stream's, or were lost before.
func TestPollsComeInPages(t *testing.T) {
	const past = 20
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	for n := range past {
		entry(t, in.redis, "h", fmt.Sprintf("%d-0", n+1), fmt.Sprintf(`"%d %s"`, n, strings.Repeat("x", 60_000)))
	}
	keeper := in.subscribed("h")
	for n := range 3 {
		in.redis.Publish("h", fmt.Sprintf(`"%d x"`, past+n))
		keeper.expect("message")
	}
	for name, query := range map[string]string{
		"from the beginning": "cursor=0-0", "the newest": "history=1000",
	} {
		t.Run(name, func(t *testing.T) {
			next, polls := 0, 0
			for more := true; more; polls++ {
				p := in.poll(nil, "channels=h&max=1000&wait=0&"+query)
				for _, text := range p.Messages {
					var e event
					if err := json.Unmarshal(text, &e); err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(string(e.Data), fmt.Sprintf(`"%d `, next)) {
						t.Fatalf("got %.20s in place of %d", e.Data, next)
					}
					next++
				}
				if len(p.Gaps) > 0 {
					t.Errorf("a gap at %d", next)
				}
				more, query = p.More, "cursor="+p.Cursor
			}
			if next != past+3 || polls < 4 {
				t.Errorf("%d messages in %d polls", next, polls)
			}
		})
	}
}

// A message that takes the loop long to encode is encoded elsewhere, on any transport.
func TestLargeMessagesOfThePast(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	in := start(t, func(c *gateway.Config) { c.Shards = 1 }).ready()
	for n := range 3 {
		entry(t, in.redis, "h", fmt.Sprintf("%d-0", n+1), fmt.Sprintf(`"%d %s"`, n, strings.Repeat("x", size)))
	}
	for _, transport := range transports {
		next := in.follow(transport, 3, "", "h")
		for n := 0; n < 3; {
			switch m := next(); {
			case m.Type != "message":
			case len(m.Data) < size || !strings.HasPrefix(string(m.Data), fmt.Sprintf(`"%d `, n)):
				t.Fatalf("%s: got %.20s in place of %d", transport, m.Data, n)
			default:
				n++
			}
		}
	}
}
