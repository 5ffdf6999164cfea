package index

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/fanout/message"
)

// indexModel is an Index made of maps and slices. A subscriber must see the messages of its
// channel without hole or repetition from where it began, so it is enough to remember the last
// one that it saw.
type indexModel struct {
	t        *rapid.T
	x        *Index
	conns    [6]List
	channels map[string]*modelChannel
	last     map[string]uint32 // Seq of released channels
	subs     map[modelKey]*modelSub
	depth    int // of changes made inside send
}

type modelChannel struct {
	ch    Channel
	last  uint32   // Seq
	order []uint32 // connections in order of subscription
}

type modelKey struct {
	conn uint32
	name string
}

type modelSub struct {
	s    Sub
	seen uint32
	held bool
}

var modelNames = rapid.SampledFrom([]string{"a", "b", "c", "room/1", "user.123456789012345678901"})

func newIndexModel(t *rapid.T) *indexModel {
	x := New()
	x.few = rapid.IntRange(0, 2).Draw(t, "few")
	return &indexModel{t: t, x: x, channels: map[string]*modelChannel{}, last: map[string]uint32{}, subs: map[modelKey]*modelSub{}}
}

func (m *indexModel) drawConn() uint32 {
	return rapid.Uint32Range(0, uint32(len(m.conns)-1)).Draw(m.t, "conn")
}

// known draws a channel that exists, or returns nil.
func (m *indexModel) known() (string, *modelChannel) {
	name := modelNames.Draw(m.t, "name")
	return name, m.channels[name]
}

func (m *indexModel) subscribe() {
	name, conn := modelNames.Draw(m.t, "name"), m.drawConn()
	ch := m.x.Open([]byte(name))
	mc := m.channels[name]
	if mc == nil {
		mc = &modelChannel{ch: ch, last: m.lastOf(name)}
		m.channels[name] = mc
	}
	if mc.ch != ch {
		m.t.Fatalf("channel %q is %d, was %d", name, ch, mc.ch)
	}
	s, added := m.x.Subscribe(&m.conns[conn], conn, ch)
	key := modelKey{conn, name}
	if sub := m.subs[key]; sub != nil {
		if added || s != sub.s {
			m.t.Fatalf("subscribed %v again as %d, was %d", key, s, sub.s)
		}
		return
	}
	if !added {
		m.t.Fatalf("%v was not added", key)
	}
	m.subs[key] = &modelSub{s: s, seen: mc.last}
	mc.order = append(mc.order, conn)
}

// lastOf returns where a channel's numbers go on. They begin short of the
// wrap, so that most runs cross it.
func (m *indexModel) lastOf(name string) uint32 {
	if last, ok := m.last[name]; ok {
		return last
	}
	return math.MaxUint32 - 5
}

func (m *indexModel) unsubscribe() {
	name, mc := m.known()
	if mc == nil {
		return
	}
	conn := m.drawConn()
	removed := m.x.Unsubscribe(&m.conns[conn], mc.ch)
	if want := m.subs[modelKey{conn, name}] != nil; removed != want {
		m.t.Fatalf("Unsubscribe(%d, %q) = %v, want %v", conn, name, removed, want)
	}
	if removed {
		m.forget(conn, name)
	}
}

func (m *indexModel) forget(conn uint32, name string) {
	delete(m.subs, modelKey{conn, name})
	mc := m.channels[name]
	for i, c := range mc.order {
		if c == conn {
			mc.order = append(mc.order[:i:i], mc.order[i+1:]...)
			return
		}
	}
}

// close unsubscribes a connection from everything, as its end does.
func (m *indexModel) close() {
	conn := m.drawConn()
	l := &m.conns[conn]
	m.x.Each(*l, func(s Sub, ch Channel) {
		name := m.x.Name(ch)
		if !m.x.Is(s, conn, ch) || m.subs[modelKey{conn, name}].s != s {
			m.t.Fatalf("subscription %d of %d to %q is wrong", s, conn, name)
		}
		if !m.x.Unsubscribe(l, ch) {
			m.t.Fatalf("Each saw %q, which %d does not have", name, conn)
		}
		m.forget(conn, name)
		m.release(name)
	})
	if *l != 0 {
		m.t.Fatalf("list of %d is %d after all were removed", conn, *l)
	}
}

func (m *indexModel) release(name string) {
	mc := m.channels[name]
	if mc == nil {
		return
	}
	m.x.Release(mc.ch)
	_, found := m.x.Lookup([]byte(name))
	if found != (len(mc.order) > 0) {
		m.t.Fatalf("Lookup(%q) = %v with %d subscribers", name, found, len(mc.order))
	}
	if !found {
		m.last[name] = mc.last
		delete(m.channels, name)
	}
}

func (m *indexModel) publish() {
	name, mc := m.known()
	if mc == nil {
		return
	}
	for range rapid.IntRange(1, 3).Draw(m.t, "messages") {
		mc.last++
		m.x.Publish(mc.ch, message.New(name, message.Position{}, mc.last, []byte("1")))
	}
}

// hold takes a subscriber out of delivery or brings it back, caught up.
func (m *indexModel) hold() {
	name, mc := m.known()
	sub := m.subs[modelKey{m.drawConn(), name}]
	if sub == nil {
		return
	}
	sub.held = !sub.held
	if !sub.held {
		sub.seen = mc.last
		m.x.SetFrom(sub.s, mc.last)
	}
	m.x.Hold(sub.s, sub.held)
}

// skip moves a subscriber's start ahead, maybe past the last message.
func (m *indexModel) skip() {
	name, _ := m.known()
	sub := m.subs[modelKey{m.drawConn(), name}]
	if sub == nil {
		return
	}
	sub.seen += rapid.Uint32Range(0, 4).Draw(m.t, "ahead")
	m.x.SetFrom(sub.s, sub.seen)
}

func (m *indexModel) change() {
	// Drawn for each kind alone: a range would favour its low end.
	changes := []func(){
		m.subscribe, m.subscribe, m.subscribe, m.unsubscribe, m.unsubscribe, m.close,
		m.publish, m.publish, m.hold, m.skip,
	}
	rapid.SampledFrom(changes).Draw(m.t, "change")()
}

func (m *indexModel) deliver(limit int) (more bool) {
	sends := 0
	sent, more := m.x.Deliver(limit, func(conn uint32, b *Batch) {
		sends++
		m.receive(conn, b)
		if rapid.Bool().Draw(m.t, "change in send") {
			m.depth++
			m.change()
			m.depth--
		}
	})
	if sent != sends || sent > limit {
		m.t.Fatalf("Deliver(%d) = %d, called send %d times", limit, sent, sends)
	}
	return more
}

func (m *indexModel) receive(conn uint32, b *Batch) {
	for _, msg := range b.Messages() {
		sub := m.subs[modelKey{conn, msg.Channel}]
		if sub == nil {
			m.t.Fatalf("%d gets a message of %q, which it does not have", conn, msg.Channel)
		}
		if sub.held {
			m.t.Fatalf("%d gets a message of %q while held", conn, msg.Channel)
		}
		if msg.Seq != sub.seen+1 {
			m.t.Fatalf("%d gets %d of %q after %d", conn, msg.Seq, msg.Channel, sub.seen)
		}
		sub.seen = msg.Seq
	}
}

func (m *indexModel) settle() {
	for m.deliver(rapid.IntRange(1, 8).Draw(m.t, "limit")) {
	}
	for key, sub := range m.subs {
		if last := m.channels[key.name].last; !sub.held && seqAfter(last, sub.seen) {
			m.t.Fatalf("%v has seen %d of %d", key, sub.seen, last)
		}
	}
	if got := m.x.Channels(); got != len(m.channels) {
		m.t.Fatalf("%d channels, want %d", got, len(m.channels))
	}
	if n, size := m.x.Pending(); n != 0 || size != 0 {
		m.t.Fatalf("%d messages, %d bytes pending after all were delivered", n, size)
	}
}

// check compares every list with the model.
func (m *indexModel) check(t *rapid.T) {
	m.t = t
	if got := m.x.Subscriptions(); got != len(m.subs) {
		t.Fatalf("%d subscriptions, want %d", got, len(m.subs))
	}
	lens := map[uint32]int{}
	for key, sub := range m.subs {
		lens[key.conn]++
		if s, ok := m.x.Find(m.conns[key.conn], m.channels[key.name].ch); !ok || s != sub.s {
			t.Fatalf("Find(%v) = %d, %v, want %d", key, s, ok, sub.s)
		}
		if m.x.Held(sub.s) != sub.held {
			t.Fatalf("Held(%v) = %v", key, !sub.held)
		}
	}
	for conn, l := range m.conns {
		if l == 0 && m.x.many[uint32(conn)] != nil {
			t.Fatalf("%d has no channel, and a table", conn)
		}
		got := 0
		m.x.Each(l, func(Sub, Channel) { got++ })
		if got != lens[uint32(conn)] {
			t.Fatalf("list of %d has %d, want %d", conn, got, lens[uint32(conn)])
		}
	}
	for name, mc := range m.channels {
		if ch, ok := m.x.Lookup([]byte(name)); !ok || ch != mc.ch || m.x.Name(ch) != name {
			t.Fatalf("Lookup(%q) = %d, %v, want %d", name, ch, ok, mc.ch)
		}
		if got := m.x.Subscribers(mc.ch); got != len(mc.order) {
			t.Fatalf("%q has %d subscribers, want %d", name, got, len(mc.order))
		}
	}
}

func TestIndexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newIndexModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"change": func(t *rapid.T) {
				m.t = t
				for range rapid.IntRange(1, 12).Draw(t, "changes") {
					m.change()
					m.check(t)
				}
			},
			"publish": func(t *rapid.T) { m.t = t; m.publish() },
			"deliver": func(t *rapid.T) { m.t = t; m.deliver(rapid.IntRange(1, 8).Draw(t, "limit")) },
			"settle":  func(t *rapid.T) { m.t = t; m.settle() },
		})
		m.t = t
		m.settle()
	})
}

// TestIndexLookupModel runs many names through the lookup and the arena, so
// that parts grow, shrink and meet, and names reuse each other's place.
func TestIndexLookupModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, model := New(), map[string]Channel{}
		names := rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,9}[0-9]{0,90}[A-Z]{0,100}`), 1, 200).Draw(t, "names")
		// All in one part of eight slots at first: chains and wraps.
		crowd := rapid.Uint32Range(0, 20).Draw(t, "hashes")
		open := func(name string) Channel {
			if crowd == 0 {
				return x.Open([]byte(name))
			}
			h := uint32(len(name)) % crowd
			if ch := x.find([]byte(name), h); ch != 0 {
				return ch
			}
			ch := Channel(x.channels.Grow())
			*x.channels.At(uint32(ch)) = channelEntry{name: x.names.put([]byte(name)), hash: h, nameLen: uint8(len(name))}
			x.lookup.Insert(uint32(ch), h, x.hashOf)
			x.channelCount++
			return ch
		}
		for range 600 {
			name := rapid.SampledFrom(names).Draw(t, "name")
			if ch, ok := model[name]; ok && rapid.Bool().Draw(t, "release") {
				x.Release(ch)
				delete(model, name)
			} else if got := open(name); ok && got != ch {
				t.Fatalf("%q is %d, was %d", name, got, ch)
			} else {
				model[name] = got
			}
		}
		if x.Channels() != len(model) {
			t.Fatalf("%d channels, want %d", x.Channels(), len(model))
		}
		for _, name := range names {
			h := x.hash([]byte(name))
			if crowd != 0 {
				h = uint32(len(name)) % crowd
			}
			if got := x.find([]byte(name), h); got != model[name] {
				t.Fatalf("%q is found as %d, want %d", name, got, model[name])
			}
			if ch := model[name]; ch != 0 && x.Name(ch) != name {
				t.Fatalf("name %q, want %q", x.Name(ch), name)
			}
		}
	})
}
