package message

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Positions may be set in any order, and between two reads, and another node's may
// displace those of the first: a cursor holds the last of each channel.
func TestCursorInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Cursor
		durable, plain := map[string]Position{}, map[string]Position{}
		node := ""
		for range rapid.IntRange(1, 60).Draw(t, "sets") {
			name := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "channel"))
			pos := drawPosition(t, rapid.SampledFrom([]string{"one", "one", "one", "two"}).Draw(t, "node"))
			switch {
			case pos.Durable():
				durable[name] = pos
			case pos.Node != node:
				clear(plain)
				node, plain[name] = pos.Node, pos
			default:
				plain[name] = pos
			}
			c.Set(name, pos)
			if rapid.IntRange(0, 3).Draw(t, "read") > 0 {
				continue
			}
			read, err := ParseCursor(c.String())
			if err != nil {
				t.Fatal(err)
			}
			for name := range 10 {
				name := fmt.Sprint(name)
				d, isDurable := read.Durable(name)
				p, isPlain := read.Plain(name)
				wantD, wantDurable := durable[name]
				wantP, wantPlain := plain[name]
				if isDurable != wantDurable || isPlain != wantPlain || isDurable && d != wantD || isPlain && p != wantP {
					t.Fatalf("%s: %v %v, %v %v, want %v and %v", name, d, isDurable, p, isPlain, wantD, wantP)
				}
				d, p, isDurable, isPlain = c.Both(name)
				if isDurable != wantDurable || isPlain != wantPlain || isDurable && d != wantD || isPlain && p != wantP {
					t.Fatalf("%s before it is written: %v %v, %v %v", name, d, isDurable, p, isPlain)
				}
			}
		}
	})
}

// BenchmarkCursor makes the cursor of a poll of many channels.
func BenchmarkCursor(b *testing.B) {
	for _, n := range []int{100, 1000, MaxCursorChannels} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("room.%d", i)
			}
			for b.Loop() {
				var c Cursor
				for i, name := range names {
					c.Set(name, Position{Ms: uint64(i)})
				}
				c.AppendTo(nil)
			}
		})
	}
}
