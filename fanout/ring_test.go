package fanout

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/fanout/internal/memory"
	"github.com/pushgate/pushgate/fanout/message"
)

// offline returns a link without Redis, with one live topic.
func offline(t testing.TB, c Config) (*Broker, *link) {
	t.Helper()
	c.URL, c.Connections = "redis://127.0.0.1:1", 1
	b, err := NewBroker(c, testLog(), "node1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, b.links[0]
}

// messageBytes is a message with nothing behind it.
var messageBytes = new(message.Message).OwnBytes()

func (l *link) openLive(channel string) (uint32, *topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, t := l.open(channel)
	l.pending++
	l.goLive(id, t)
	return id, t
}

// take accepts a message under mu.
func (l *link) take(id uint32, t *topic, m heldMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accept(id, t, m)
}

// ask returns the answer of the ring, if it has one.
func (l *link) ask(t *topic, since message.Position) (a Replay, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok = l.fromRing(t, &Request{since: since, done: func(r Replay) { a = r }})
	return a, ok
}

func TestRingBounds(t *testing.T) {
	tests := map[string]struct {
		config RingConfig
		sizes  []int // of the payloads
		want   int   // messages that are left
	}{
		"count":             {RingConfig{Messages: 3, Bytes: 1 << 20}, []int{1, 1, 1, 1, 1}, 3},
		"bytes":             {RingConfig{Messages: 9, Bytes: 3 * (messageBytes + 16)}, []int{10, 10, 10, 10, 10}, 3},
		"newest always":     {RingConfig{Messages: 9, Bytes: 300}, []int{1, 5000}, 1},
		"less than a bound": {RingConfig{Messages: 9, Bytes: 1 << 20}, []int{1, 2}, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			test.config.Age, test.config.TotalBytes = time.Hour, 1<<30
			c.Ring = test.config
			_, l := offline(t, c)
			id, topic := l.openLive("c")
			moments := []uint64{topic.at}
			for i, size := range test.sizes {
				l.take(id, topic, heldMessage{payload: strconv.Itoa(i) + string(make([]byte, size-1))})
				moments = append(moments, topic.at)
			}
			n := len(test.sizes)
			for since := range n + 1 {
				a, ok := l.ask(topic, message.Position{Node: "node1", Seq: moments[since]})
				if wantOK := since >= n-test.want; ok != wantOK {
					t.Errorf("since %d: answered %v, want %v", since, ok, wantOK)
				} else if ok && (len(a.Messages) != n-since || a.Gap != nil) {
					t.Errorf("since %d: %d messages, gap %v", since, len(a.Messages), a.Gap)
				}
			}
		})
	}
}

func TestRingsTotalBound(t *testing.T) {
	c := DefaultConfig()
	c.Ring.TotalBytes = 10 * (ringBytes + memory.PointerBytes + messageBytes + 128)
	_, l := offline(t, c)
	topics, begin := make([]*topic, 20), make([]uint64, 20)
	for i := range topics {
		var id uint32
		id, topics[i] = l.openLive(strconv.Itoa(i))
		begin[i] = topics[i].at
		l.take(id, topics[i], heldMessage{payload: string(make([]byte, 128))})
		if n := int(l.rings.bytes.Load()); n > c.Ring.TotalBytes {
			t.Fatalf("%d bytes in rings, want at most %d", n, c.Ring.TotalBytes)
		}
	}
	for i, topic := range topics {
		if kept := topic.ring != nil; kept != (i >= 10) {
			t.Errorf("ring of channel %d: kept %v", i, kept)
		}
		a, ok := l.ask(topic, message.Position{Node: "node1", Seq: begin[i]})
		if ok != (i >= 10) {
			t.Errorf("replay of channel %d: %+v", i, a)
		}
		// The end of the channel is still known without a ring.
		if a, ok := l.ask(topic, message.Position{Node: "node1", Seq: topic.at}); !ok || len(a.Messages) != 0 || a.Gap != nil {
			t.Errorf("replay of channel %d from its end: %v %+v", i, ok, a)
		}
	}
	// One that is larger than everything.
	id, big := l.openLive("big")
	l.take(id, big, heldMessage{payload: string(make([]byte, 1<<20))})
	if n := int(l.rings.bytes.Load()); n != ringBytes+memory.PointerBytes || big.ring.n != 0 {
		t.Errorf("%d bytes in rings after a message that fits in none", n)
	}
}

func TestRingsExpire(t *testing.T) {
	c := DefaultConfig()
	_, l := offline(t, c)
	age := uint32(c.Ring.Age.Milliseconds())
	for i := range 10 {
		id, topic := l.openLive(strconv.Itoa(i))
		l.take(id, topic, heldMessage{payload: "x"})
		topic.ring.touched = uint32(i) * 1000
	}
	l.rings.expire(&l.topics, age+4999)
	for i := range 10 {
		_, topic := l.topics.find(strconv.Itoa(i))
		if kept := topic.ring != nil; kept != (i >= 5) {
			t.Errorf("ring %d: kept %v", i, kept)
		}
	}
	l.rings.expire(&l.topics, age+100_000)
	if n := l.rings.bytes.Load(); n != 0 || l.rings.list.next != &l.rings.list {
		t.Errorf("%d bytes left", n)
	}
}

// past is one message of the model below.
type past struct {
	text string
	id   message.StreamID // zero: plain
	at   uint64           // 0: before the topic was joined
}

// channelModel is a channel as an all-knowing observer sees it.
type channelModel struct {
	all    []past
	stream []past // still in the stream
	joined int    // the first in all received while the topic was live
	live   uint64 // when it went live
	// blurred: the ring was dropped after plain messages. All that is kept of
	// them is that some were lost before the last durable one.
	blurred bool
}

// readPage is streamReader.readPage on the model's stream.
func (m *channelModel) readPage(from, received message.StreamID, most int) history {
	h := history{from: from, to: from, length: int64(len(m.stream)), end: true}
	for _, p := range m.stream {
		if from.Less(p.id) && h.end {
			h.end = h.add([]entry{{id: p.id, payload: p.text}}, most)
		}
	}
	if h.end && h.to.Less(received) {
		h.to = received
	}
	if from.IsZero() {
		trimmed := slices.IndexFunc(m.all, func(p past) bool { return !p.id.IsZero() })
		h.complete = len(m.stream) > 0 && m.stream[0] == m.all[trimmed]
	} else {
		h.complete = len(m.stream) > 0 && !from.Less(m.stream[0].id)
	}
	return h
}

// readBack is streamReader.readBack on the model's stream.
func (m *channelModel) readBack(n, few int) starts {
	if len(m.stream) <= few {
		return starts{all: true, few: len(m.stream)}
	}
	s := starts{all: len(m.stream) <= n}
	for i := len(m.stream) - 1; i >= 0 && len(s.ids) <= n; i-- {
		s.ids = append(s.ids, m.stream[i].id)
	}
	return s
}

// answer does the work of serve until w and its further pages are answered. The pages make one
// answer, with their first gap.
func (m *channelModel) answer(rt *rapid.T, l *link, id uint32, t *topic, w *Request, between func()) (a Replay) {
	for pages := 0; ; pages++ {
		var got *Replay
		w.done = func(r Replay) { got = &r }
		l.waits[id] = &replayWaits{list: []*Request{w}}
		for reads := 0; got == nil; reads++ {
			if reads > 3 {
				rt.Fatalf("no answer after %d reads", reads)
			}
			l.windows = windows{}
			l.mu.Lock()
			n := l.serveRings(id, t)
			l.mu.Unlock()
			switch most := l.b.config.ReplayMessages; {
			case n.ahead:
				rt.Fatal("the position is taken for the future")
			case n.back > 0:
				l.begin(id, t, m.readBack(n.back, n.few))
			case n.left:
				h := m.readPage(n.from, t.last, l.streams.page)
				if !n.within && h.length > int64(most) && !(h.end && len(h.entries) <= most) {
					l.begin(id, t, m.readBack(most, most))
				}
				if _, ok := l.serveHistory(id, t, h); !ok {
					rt.Fatalf("the history of %d entries ends before the ring", len(m.stream))
				}
			}
		}
		delete(l.waits, id)
		a.Messages = append(a.Messages, got.Messages...)
		if a.Gap == nil {
			a.Gap = got.Gap
		}
		got.Done()
		if !got.More {
			break
		}
		between()
		w = &Request{since: got.Position, found: true, start: got.Position.StreamID(), told: got.told}
	}
	if l.lent != 0 {
		rt.Fatalf("%d bytes are still lent", l.lent)
	}
	return a
}

// after returns the index in all of the first message to replay after a position.
func (m *channelModel) after(since message.Position) int {
	for i := len(m.all) - 1; i >= 0; i-- {
		p := m.all[i]
		if since.Durable() && !p.id.IsZero() && !since.StreamID().Less(p.id) ||
			!since.Durable() && p.at > 0 && p.at <= since.Seq {
			return i + 1
		}
	}
	if since.Durable() {
		return 0
	}
	return m.joined
}

// TestReplayAgainstModel publishes, trims, forgets rings and replays from any position that was
// ever handed out. Without a gap an answer must be exactly the messages after the position;
// with one it must be some of them, in order, and only when something really is out of reach.
func TestReplayAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := DefaultConfig()
		c.Ring.Messages = rapid.IntRange(1, 6).Draw(rt, "ring")
		c.ReplayMessages = rapid.IntRange(1, 12).Draw(rt, "most")
		_, l := offline(t, c)
		l.streams.page = rapid.SampledFrom([]int{1, 3 * entryBytes, pageBytes}).Draw(rt, "page")
		var m channelModel
		next := message.StreamID{Ms: 10}
		durable := func() past {
			next.Seq++
			p := past{text: "d" + strconv.FormatUint(next.Seq, 10), id: next}
			m.all, m.stream = append(m.all, p), append(m.stream, p)
			return p
		}
		for range rapid.IntRange(0, 8).Draw(rt, "before") {
			durable()
		}
		m.joined = len(m.all)
		id, topic := l.openLive("c")
		m.live = topic.at
		if len(m.stream) > 0 {
			topic.last = next
		}
		actions := map[string]func(*rapid.T){
			"durable": func(*rapid.T) {
				p := durable()
				l.take(id, topic, heldMessage{id: p.id, payload: p.text, durable: true})
				m.all[len(m.all)-1].at = topic.at
			},
			"plain": func(*rapid.T) {
				p := past{text: fmt.Sprintf("p%d", topic.seq+1)}
				l.take(id, topic, heldMessage{payload: p.text})
				p.at = topic.at
				m.all = append(m.all, p)
			},
			"trim": func(rt *rapid.T) {
				if n := len(m.stream); n > 0 {
					m.stream = m.stream[rapid.IntRange(0, n-1).Draw(rt, "n"):]
				}
			},
			"age": func(*rapid.T) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.rings.drop(topic)
				m.blurred = topic.flags&topicPlain != 0
			},
		}
		meanwhile := func(rt *rapid.T) {
			if name := rapid.SampledFrom([]string{"nothing", "durable", "plain", "trim", "age"}).Draw(rt, "meanwhile"); actions[name] != nil {
				actions[name](rt)
			}
		}
		both := maps.Clone(actions)
		both["replay"] = func(rt *rapid.T) { checkReplay(rt, l, id, topic, &m, m.position(rt), meanwhile) }
		both["newest"] = func(rt *rapid.T) {
			checkNewest(rt, l, id, topic, &m, rapid.IntRange(1, c.ReplayMessages).Draw(rt, "newest"))
		}
		rt.Repeat(both)
	})
}

// position draws one that a client may hold.
func (m *channelModel) position(rt *rapid.T) message.Position {
	if rapid.Bool().Draw(rt, "plain position") {
		p := message.Position{Node: "node1", Seq: m.live}
		if n := rapid.IntRange(0, len(m.all)-m.joined).Draw(rt, "after"); n > 0 {
			p.Seq = m.all[m.joined+n-1].at
		}
		return p
	}
	since := message.Position{}
	if n := len(m.all); n > 0 {
		since = m.all[rapid.IntRange(0, n-1).Draw(rt, "of")].id.Position()
	}
	return since
}

// checkNewest asks for the newest n: they are all that the stream has, or n, up to
// the end, and none that the stream has is left out between them.
func checkNewest(rt *rapid.T, l *link, id uint32, t *topic, m *channelModel, n int) {
	a := m.answer(rt, l, id, t, &Request{newest: int32(n)}, func() {})
	if a.Gap != nil || len(a.Messages) > n {
		rt.Fatalf("the newest %d are %v, gap %v", n, payloads(a.Messages), a.Gap)
	}
	have := payloads(a.Messages)
	kept := func(p past) bool { return slices.Contains(m.stream, p) }
	for i := len(m.all) - 1; i >= 0; i-- {
		switch k := len(have) - 1; {
		case k >= 0 && have[k] == m.all[i].text:
			have = have[:k]
		case kept(m.all[i]) && (k >= 0 || len(a.Messages) < n):
			rt.Fatalf("the newest %d of %v are %v, without %v", n, m.all, payloads(a.Messages), m.all[i])
		}
	}
	if len(have) > 0 {
		rt.Fatalf("the newest %d of %v are %v", n, m.all, payloads(a.Messages))
	}
}

// checkReplay asks for the messages after a position; meanwhile happens between two pages.
func checkReplay(rt *rapid.T, l *link, id uint32, t *topic, m *channelModel, since message.Position, meanwhile func(*rapid.T)) {
	a := m.answer(rt, l, id, t, &Request{since: since}, func() { meanwhile(rt) })
	var want []string
	for _, p := range m.all[m.after(since):] {
		want = append(want, p.text)
	}
	have := payloads(a.Messages)
	if a.Gap == nil {
		if !slices.Equal(have, want) {
			rt.Fatalf("since %s without a gap: %v, want %v", since, have, want)
		}
		return
	}
	// A plain position that is out of reach gives everything that is left.
	if !since.Durable() {
		want = want[:0]
		for _, p := range m.all {
			want = append(want, p.text)
		}
	} else if reachable(m, since, l.b.config.ReplayMessages) {
		rt.Fatalf("since %s: a gap although all of %v is within reach", since, want)
	}
	rest := want
	for _, text := range have {
		i := slices.Index(rest, text)
		if i < 0 {
			rt.Fatalf("since %s: %v is not a part of %v", since, have, want)
		}
		rest = rest[i+1:]
	}
}

// reachable reports whether everything after a durable position is in the
// stream and within the bound, so that there is no reason for a gap.
func reachable(m *channelModel, since message.Position, most int) bool {
	if m.blurred {
		return false
	}
	rest := m.all[m.after(since):]
	for _, p := range rest {
		if p.id.IsZero() {
			return false // in no stream
		}
	}
	if since.IsZero() {
		return len(rest) <= most && len(m.stream) > 0 && len(rest) > 0 && m.stream[0] == m.all[0]
	}
	return len(rest) <= most && len(m.stream) > 0 && !since.StreamID().Less(m.stream[0].id)
}
