package fanout

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// everyForm is the forms in which a message can be encoded.
func everyForm(m *message.Message) {
	for f := range message.Forms {
		m.Encoded(f)
	}
}

// mixes is payload sizes of messages, one after the other, on so many channels.
var mixes = map[string]struct {
	sizes    []int
	channels int
	user     string
}{
	"tiny":                  {[]int{1}, 100, ""},
	"tiny, a channel each":  {[]int{1}, 100_000, ""},
	"small":                 {[]int{200}, 100, "somebody"},
	"medium":                {[]int{4 << 10}, 100, ""},
	"large":                 {[]int{64 << 10}, 100, ""},
	"all sizes":             {[]int{1, 200, 4 << 10, 64 << 10}, 100, ""},
	"small, a channel each": {[]int{200}, 20_000, "somebody"},
	"large user, tiny":      {[]int{1}, 1000, strings.Repeat("u", 300)},
}

// The memory of all rings is at most 1.5 times the limit, and about the counted bytes, whatever
// is encoded once the messages are there.
func TestRingsTakeWhatIsCounted(t *testing.T) {
	for name, mix := range mixes {
		for _, binary := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", binary ", binary), func(t *testing.T) {
				c := DefaultConfig()
				c.Ring.TotalBytes = 4 << 20
				_, l := offline(t, c)
				topics := make([]*topic, mix.channels)
				ids := make([]uint32, mix.channels)
				for i := range topics {
					ids[i], topics[i] = l.openLive(fmt.Sprint("c", i))
				}
				before := gatewaytest.HeapInUse()
				fill := func() {
					for n, taken := 0, 0; taken < 2*c.Ring.TotalBytes || n < mix.channels; n++ {
						payload := []byte(strings.Repeat("x", mix.sizes[n%len(mix.sizes)]))
						if binary {
							payload[0] = 0xff
						}
						i := n % mix.channels
						user := ""
						if mix.user != "" {
							user = fmt.Sprint(mix.user, n)
						}
						l.take(ids[i], topics[i], heldMessage{payload: string(payload), user: user})
						taken += len(payload) + 200
					}
				}
				check := func(when string) {
					t.Helper()
					took, counted := gatewaytest.HeapInUse()-before, l.rings.bytes.Load()
					t.Logf("%s: %d KiB are counted, %d KiB taken", when, counted>>10, took>>10)
					if counted > int64(c.Ring.TotalBytes) || took > int64(c.Ring.TotalBytes)*3/2 || took > counted*3/2 || counted > took*3/2 {
						t.Errorf("%s: %d bytes are counted, %d taken, and at most %d are to be", when, counted, took, c.Ring.TotalBytes)
					}
				}
				fill()
				check("not encoded")
				eachInRings(l, everyForm)
				select {
				case <-l.rings.over:
				default:
					t.Error("sweep isn't told that rings are too large")
				}
				for l.sweepSome() {
				}
				check("encoded later")
				fill()
				eachInRings(l, func(m *message.Message) { m.Encoded(message.FormText) })
				fill()
				check("encoded as they come")
				l.rings.expire(&l.topics, l.now()+uint32(c.Ring.Age.Milliseconds()))
				if n := l.rings.bytes.Load(); n != 0 {
					t.Errorf("%d bytes are counted for no ring", n)
				}
				runtime.KeepAlive(topics)
			})
		}
	}
}

// eachInRings calls fn for each message that a ring holds.
func eachInRings(l *link, fn func(*message.Message)) {
	var all []*message.Message
	l.mu.Lock()
	for r := l.rings.list.next; r != &l.rings.list; r = r.next {
		all = r.from(all, 0)
	}
	l.mu.Unlock()
	for _, m := range all {
		fn(m)
	}
}

// One channel keeps to its own bound with its encodings.
func TestRingCountsEncodings(t *testing.T) {
	c := DefaultConfig()
	c.Ring.Bytes = 64 << 10
	_, l := offline(t, c)
	id, topic := l.openLive("c")
	for range 1000 {
		l.take(id, topic, heldMessage{payload: strings.Repeat("x", 1000)})
		everyForm(topic.ring.at(topic.ring.n - 1))
	}
	l.take(id, topic, heldMessage{payload: "last"})
	sum := 0
	for i := range topic.ring.n {
		sum += topic.ring.at(i).Bytes()
	}
	if got := topic.ring.size(); got != sum || got > c.Ring.Bytes || got < c.Ring.Bytes/2 {
		t.Errorf("%d bytes are counted for messages of %d, want at most %d", got, sum, c.Ring.Bytes)
	}
}

// An encoding made while its message enters a ring or leaves it is counted once or not at all.
func TestEncodingsAreCountedOnce(t *testing.T) {
	c := DefaultConfig()
	c.Ring.Messages = 4
	_, l := offline(t, c)
	id, topic := l.openLive("c")
	encode := make(chan *message.Message, 16)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for m := range encode {
				m.Encoded(message.Form(rand.N(int(message.Forms))))
			}
		})
	}
	for range 20_000 {
		l.take(id, topic, heldMessage{payload: "x"})
		encode <- topic.ring.at(rand.N(topic.ring.n))
	}
	close(encode)
	all.Wait()
	sum := 0
	eachInRings(l, func(m *message.Message) { sum += m.Bytes() })
	if got := topic.ring.size(); got != sum {
		t.Errorf("%d bytes are counted, want %d", got, sum)
	}
	if got, want := int(l.rings.bytes.Load()), sum+topic.ring.overhead(); got != want {
		t.Errorf("%d bytes are counted for all rings, want %d", got, want)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rings.drop(topic)
	if n := l.rings.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are counted for no ring", n)
	}
}

// A message that outlives its ring, on its way to a client, keeps none of the
// others.
func TestRingLetsGo(t *testing.T) {
	_, l := offline(t, DefaultConfig())
	var kept []*message.Message
	before := gatewaytest.HeapInUse()
	for i := range 100 {
		id, topic := l.openLive(fmt.Sprint("c", i))
		for range 100 {
			l.take(id, topic, heldMessage{payload: strings.Repeat("x", 1000)})
		}
		kept = append(kept, topic.ring.at(0))
	}
	l.rings.expire(&l.topics, l.now()+uint32(l.b.config.Ring.Age.Milliseconds()))
	if took := gatewaytest.HeapInUse() - before; took > 300_000 {
		t.Errorf("%d messages keep %d bytes", len(kept), took)
	}
	runtime.KeepAlive(kept)
}

// Messages held for channels that aren't live yet take about the memory counted.
func TestHeldMessagesTakeWhatIsCounted(t *testing.T) {
	for name, mix := range mixes {
		t.Run(name, func(t *testing.T) {
			_, l := offline(t, DefaultConfig())
			names := make([]string, mix.channels)
			for i := range names {
				names[i] = fmt.Sprint("push:c", i)
				id, topic := l.open(names[i][len("push:"):])
				topic.state = topicConfirmed
				l.wanted, l.confirmed = nil, append(l.confirmed, id)
			}
			before := gatewaytest.HeapInUse()
			for n, taken := 0, 0; taken < 8<<20 || n < mix.channels; n++ {
				wire := fmt.Sprintf("\x1e1732345678901-%d\x1e%s", n, strings.Repeat("x", mix.sizes[n%len(mix.sizes)]))
				if mix.user != "" {
					wire = string(withUser([]byte("x"), fmt.Sprint(mix.user, n)))
				}
				l.message(names[n%mix.channels], wire)
				taken += len(wire) + 100
			}
			took, counted := gatewaytest.HeapInUse()-before, l.b.held.Load()
			t.Logf("%d KiB are counted, %d KiB taken", counted>>10, took>>10)
			if took > counted*3/2 || counted > took*2 {
				t.Errorf("%d bytes are counted, %d taken", counted, took)
			}
			l.lost()
			if n := l.b.held.Load(); n != 0 {
				t.Errorf("%d bytes are counted for nothing", n)
			}
			runtime.KeepAlive(names)
		})
	}
}

func TestRingSize(t *testing.T) {
	if ringBytes != 176 {
		t.Errorf("a ring takes %d bytes, want 176", ringBytes)
	}
}
