package fanout

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

func TestTopicsAgainstAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newTopics("push:")
		model := make(map[string]uint32)
		name := rapid.Custom(func(rt *rapid.T) string {
			return "c" + strconv.Itoa(rapid.IntRange(0, 300).Draw(rt, "n"))
		})
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				if _, ok := model[n]; !ok {
					model[n], _ = s.add("push:" + n)
				}
			},
			"remove": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				if id, ok := model[n]; ok {
					s.remove(id)
					delete(model, n)
				}
			},
			"": func(rt *rapid.T) {
				if s.len() != len(model) {
					rt.Fatalf("%d topics, want %d", s.len(), len(model))
				}
				for n, want := range model {
					if id, topic := s.find(n); topic == nil || id != want || topic.name != "push:"+n {
						rt.Fatalf("%s is at %d, want %d", n, id, want)
					}
				}
				n := name.Draw(rt, "other")
				if _, topic := s.find(n); topic != nil && model[n] == 0 && topic.name != "push:"+n {
					rt.Fatalf("found %s for %s", topic.name, n)
				}
			},
		})
	})
}

// A million personal channels share a budget of 700 bytes a connection with
// everything else; go-redis' own map of names adds about 27 bytes a channel.
func TestTopicMemory(t *testing.T) {
	const n, want = 1 << 20, 130
	before := gatewaytest.HeapInUse()
	s := newTopics("push:")
	for i := range n {
		s.add(fmt.Sprintf("push:user.%07d", i))
	}
	each := float64(gatewaytest.HeapInUse()-before) / n
	t.Logf("%.1f bytes a channel with a name of 17 bytes", each)
	if each > want {
		t.Errorf("%.1f bytes a channel, want at most %d", each, want)
	}
	runtime.KeepAlive(s)
}

func BenchmarkTopicsFind(b *testing.B) {
	s := newTopics("push:")
	names := make([]string, 1<<17)
	for i := range names {
		names[i] = fmt.Sprintf("user.%07d", i)
		s.add("push:" + names[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, t := s.find(names[i&(len(names)-1)]); t == nil {
			b.Fatal("lost")
		}
	}
}
