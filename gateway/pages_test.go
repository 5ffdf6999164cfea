package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
)

// A client that catches up and doesn't read is given a page, while one beside it gets
// all that it asks for.
func TestDeafClientsAreGivenAPage(t *testing.T) {
	const deaf, past, size = 3, 60, 60_000
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
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
	page := uint64(crowdedBytes / size)
	if n := in.totals().deliveries; n > past+deaf*page {
		t.Errorf("%d messages were sent to clients that don't read", n-past)
	}
	if n := in.totals().queueBytes; n > deaf*(crowdedBytes+size) {
		t.Errorf("%d bytes wait for them", n)
	}
}

// Who has caught up with more than 4 MiB waits for its next page, a client with less
// doesn't. The pace of a connection ends with it.
func TestCatchUpsHaveAPace(t *testing.T) {
	s := newStill(t, nil)
	eager, calm := s.openWebSocket(), s.openWebSocket()
	mib := []*message.Message{message.New("c", message.Position{Ms: 1}, 1, make([]byte, 1<<20))}
	for range 6 {
		s.charge(eager.slot, mib)
	}
	s.charge(calm.slot, mib)
	if s.paced(eager.slot) || !s.paced(calm.slot) {
		t.Errorf("after 6 MiB: %v, after 1 MiB: %v", s.paced(eager.slot), s.paced(calm.slot))
	}
	for range 100 {
		s.charge(eager.slot, mib)
	}
	if ahead := s.paces.at(eager.slot).ahead(s.uptime()); ahead > mostDebt {
		t.Errorf("it is to wait for %v", ahead)
	}
	s.release(eager.slot, s.conns.at(eager.slot), CloseReset)
	if !s.paced(eager.slot) {
		t.Error("the next client in its slot waits too")
	}
}

// A poll gets a page, whose cursor goes on behind it, also where plain messages follow
// what is in the stream, or have been lost before.
func TestPollsComeInPages(t *testing.T) {
	const past = 20
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
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
	const size = 1 << 20
	in := start(t, func(c *Config) { c.Shards = 1 }).ready()
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
