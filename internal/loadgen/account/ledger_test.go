package account

import (
	"testing"

	"pgregory.net/rapid"
)

func TestLedger(t *testing.T) {
	type want struct {
		delivered, duplicated, reordered, missing uint64
		first                                     uint32
	}
	tests := map[string]struct {
		seqs      []uint32
		published uint32
		want      want
	}{
		"all in order":       {[]uint32{1, 2, 3}, 3, want{3, 0, 0, 0, 0}},
		"nothing":            {nil, 3, want{0, 0, 0, 3, 1}},
		"tail missing":       {[]uint32{1}, 3, want{1, 0, 0, 2, 2}},
		"head missing":       {[]uint32{3}, 3, want{1, 0, 0, 2, 1}},
		"one dropped":        {[]uint32{1, 3}, 3, want{2, 0, 0, 1, 2}},
		"one doubled":        {[]uint32{1, 2, 2, 3}, 3, want{3, 1, 0, 0, 0}},
		"two swapped":        {[]uint32{2, 1, 3}, 3, want{3, 0, 1, 0, 0}},
		"late and doubled":   {[]uint32{1, 3, 2, 2}, 3, want{3, 1, 1, 0, 0}},
		"middle of a hole":   {[]uint32{1, 7, 4}, 7, want{3, 0, 1, 4, 2}},
		"edges of a hole":    {[]uint32{1, 5, 2, 4}, 5, want{4, 0, 2, 1, 3}},
		"backwards":          {[]uint32{4, 3, 2, 1}, 4, want{4, 0, 3, 0, 0}},
		"none published":     {nil, 0, want{0, 0, 0, 0, 0}},
		"zero is no message": {[]uint32{0}, 0, want{0, 1, 0, 0, 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewLedger(2)
			for _, s := range tt.seqs {
				g.Observe(1, s)
			}
			missing, first := g.Missing(1, tt.published)
			if got := (want{g.Delivered, g.Duplicated, g.Reordered, missing, first}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if n, _ := g.Missing(0, 1); n != 1 {
				t.Errorf("the other subscription misses %d of 1", n)
			}
		})
	}
}

// The ledger against a set of the messages seen: any order, drops and doubles, over several
// subscriptions.
func TestLedgerProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const subs, published = 3, 20
		g := NewLedger(subs)
		seen := make(map[[2]uint32]bool)
		var high [subs]uint32
		var delivered, duplicated, reordered uint64
		for _, d := range rapid.SliceOf(rapid.Custom(func(t *rapid.T) [2]uint32 {
			return [2]uint32{rapid.Uint32Range(0, subs-1).Draw(t, "sub"), rapid.Uint32Range(1, published).Draw(t, "seq")}
		})).Draw(t, "deliveries") {
			sub, seq := d[0], d[1]
			if g.Observe(sub, seq) == seen[d] {
				t.Fatalf("delivery %v: first and seen before agree", d)
			}
			switch {
			case seen[d]:
				duplicated++
			default:
				delivered++
				if seq < high[sub] {
					reordered++
				}
			}
			seen[d] = true
			high[sub] = max(high[sub], seq)
		}
		if g.Delivered != delivered || g.Duplicated != duplicated || g.Reordered != reordered || !g.Exact() {
			t.Fatalf("got %d %d %d, want %d %d %d", g.Delivered, g.Duplicated, g.Reordered, delivered, duplicated, reordered)
		}
		spans := 0
		for sub := range uint32(subs) {
			var missing uint64
			var first uint32
			for seq := uint32(published); seq >= 1; seq-- {
				if !seen[[2]uint32{sub, seq}] {
					missing++
					first = seq
				}
			}
			if n, f := g.Missing(sub, published); n != missing || f != first {
				t.Fatalf("subscription %d: missing %d from %d, want %d from %d", sub, n, f, missing, first)
			}
			spans += len(g.holes[sub])
		}
		if spans != g.spans {
			t.Fatalf("%d spans, counted %d", spans, g.spans)
		}
	})
}

// When there is no room for more spans, missing messages are still counted right and the ledger
// says that it lost detail.
func TestLedgerOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewLedger(2)
		g.most = 2
		seen := make(map[[2]uint32]bool)
		for seq := uint32(1); seq <= 40; seq++ {
			sub := seq % 2
			if rapid.Bool().Draw(t, "deliver") {
				g.Observe(sub, seq)
				seen[[2]uint32{sub, seq}] = true
			}
		}
		for sub := range uint32(2) {
			n, _ := g.Missing(sub, 40)
			want := uint64(0)
			for seq := uint32(1); seq <= 40; seq++ {
				if !seen[[2]uint32{sub, seq}] {
					want++
				}
			}
			if n != want {
				t.Fatalf("subscription %d: missing %d, want %d", sub, n, want)
			}
		}
		if g.spans > g.most {
			t.Fatalf("%d spans", g.spans)
		}
	})
}

func BenchmarkLedgerInOrder(b *testing.B) {
	g := NewLedger(1)
	seq := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		g.Observe(0, seq)
	}
}

func TestLedgerAway(t *testing.T) {
	g := NewLedger(2)
	see := func(numbers ...uint32) {
		for _, n := range numbers {
			g.Observe(0, n)
		}
	}
	check := func(when string, want uint64) {
		t.Helper()
		if got := g.MissedAway(0, 20); got != want {
			t.Errorf("%s: %d missed while away, want %d", when, got, want)
		}
	}
	g.Begin(0, 0)
	see(1, 3)
	check("never cut", 0)
	g.Leave(0)
	g.Leave(0)
	check("away", 17)
	see(7)
	check("back", 3)
	see(5)
	check("one more came late", 2)
	see(10)
	check("lost later", 2)
	g.Leave(0)
	see(11)
	check("away, and nothing passed", 2)
	g.Leave(0)
	check("away again", 11)
	see(20)
	check("back again", 10)
	g.Begin(0, 20)
	check("another window", 0)
}
