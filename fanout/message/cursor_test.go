package message

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCursorRoundTrip(t *testing.T) {
	type place struct {
		durable, plain       Position
		hasDurable, hasPlain bool
	}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9._:-]{1,40}`), 0, 300, rapid.ID[string]).Draw(t, "names")
		var c Cursor
		model := map[string]place{}
		for _, name := range names {
			p := model[name]
			for range rapid.IntRange(1, 3).Draw(t, "sets") {
				pos := drawPosition(t, "node-1")
				if pos.Durable() {
					p.durable, p.hasDurable = pos, true
				} else {
					p.plain, p.hasPlain = pos, true
				}
				c.Set(name, pos)
			}
			model[name] = p
		}
		text := c.String()
		if url.QueryEscape(text) != text {
			t.Fatalf("%q needs escaping in a query", text)
		}
		if !IsCursor(text) {
			t.Fatalf("%q is not known as a cursor", text)
		}
		got, err := ParseCursor(text)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != len(model) {
			t.Fatalf("%d channels, want %d", got.Len(), len(model))
		}
		for name, want := range model {
			var p place
			p.durable, p.hasDurable = got.Durable(name)
			p.plain, p.hasPlain = got.Plain(name)
			if p != want {
				t.Fatalf("channel %q: got %+v, want %+v", name, p, want)
			}
		}
		if _, ok := got.Durable("not/there"); ok {
			t.Fatal("a channel that was not set has a durable position")
		}
		if again := got.String(); again != text {
			t.Fatalf("written again: %q, want %q", again, text)
		}
	})
}

// A cursor of some channels resumes these as the whole one does, and is as long as
// they need.
func TestCursorOnly(t *testing.T) {
	var c, want Cursor
	for i := range 100 {
		name := fmt.Sprintf("c%d", i)
		durable, plain := Position{Ms: uint64(1000 + i), Seq: 1}, Position{Node: "one", Seq: uint64(i)}
		c.Set(name, durable)
		c.Set(name, plain)
		if i == 3 || i == 50 {
			want.Set(name, durable)
			want.Set(name, plain)
		}
	}
	whole := c.String()
	for _, names := range [][]string{{"c3", "c50"}, {"c50", "other", "c3", "c50"}} {
		if only := c.Only(names...); only.String() != want.String() {
			t.Errorf("only %v is %v, want %v", names, only.String(), want.String())
		}
	}
	if c.String() != whole {
		t.Error("the cursor itself has changed")
	}
	if none := c.Only("other"); none.Len() != 0 {
		t.Errorf("%d channels of none", none.Len())
	}
}

func TestCursorKeepsOneNode(t *testing.T) {
	var c Cursor
	c.Set("a", mustPosition(t, "~one-5"))
	c.Set("b", mustPosition(t, "~one-6"))
	c.Set("b", mustPosition(t, "9-9"))
	c.Set("c", mustPosition(t, "~two-7"))
	if p, ok := c.Plain("a"); ok {
		t.Errorf("a keeps %v of the earlier node", p)
	}
	if p, ok := c.Plain("b"); ok {
		t.Errorf("b keeps %v of the earlier node", p)
	}
	if p, ok := c.Durable("b"); !ok || p != (Position{Ms: 9, Seq: 9}) {
		t.Errorf("b has durable %v, %v, want 9-9", p, ok)
	}
	if p, ok := c.Plain("c"); !ok || p != (Position{Node: "two", Seq: 7}) {
		t.Errorf("c has plain %v, %v, want ~two-7", p, ok)
	}
}

func TestCursorEntryOfCollidingNames(t *testing.T) {
	var e cursorEntry
	e.set("a", Position{Ms: 5})
	e.set("a", Position{Ms: 8}) // the same channel moves on
	if e.ms != 8 {
		t.Fatalf("durable %d, want 8", e.ms)
	}
	e.set("b", Position{Ms: 6})
	e.set("b", Position{Node: "n", Seq: 10})
	e.set("a", Position{Ms: 9})
	e.set("a", Position{Node: "n", Seq: 12})
	if e.ms != 6 || e.plain != 10 {
		t.Errorf("durable %d, plain %d, want the older ones 6 and 10", e.ms, e.plain)
	}
}

func TestCursorIsShort(t *testing.T) {
	var c Cursor
	for i := range 50 {
		name := fmt.Sprintf("rooms/%d/%s", i, strings.Repeat("x", 40))
		c.Set(name, Position{Ms: 1732345678901 + uint64(i), Seq: uint64(i)})
		c.Set(name, Position{Node: "edge-eu-west-1-0123456789abcdef", Seq: uint64(i) * 1000})
	}
	if n := len(c.String()); n > 1400 {
		t.Errorf("50 channels take %d bytes, want at most 1400", n)
	}
}

func TestCursorLargestCanBeRead(t *testing.T) {
	c := Cursor{node: strings.Repeat("n", maxNodeBytes)}
	for i := range uint64(MaxCursorChannels) {
		c.entries = append(c.entries, cursorEntry{
			channel: i, has: cursorDurable | cursorPlain,
			ms: math.MaxUint64, seq: math.MaxUint64, plain: math.MaxUint64,
		})
	}
	if _, err := ParseCursor(c.String()); err != nil {
		t.Error(err)
	}
}

func TestParseCursorRefuses(t *testing.T) {
	var c Cursor
	c.Set("news", mustPosition(t, "1732345678901-0"))
	c.Set("news", mustPosition(t, "~node-9"))
	good := c.String()
	raw, err := cursorEncoding.DecodeString(good[1:])
	if err != nil {
		t.Fatal(err)
	}
	encode := func(b ...byte) string { return "c" + base64.RawURLEncoding.EncodeToString(b) }
	entry := []byte{1, 2, 3, 4, 5, 6, 7, 8, cursorDurable, 1, 0}
	tests := map[string]string{
		"empty":             "",
		"a position":        "1-0",
		"mark alone":        "c",
		"not base64":        "c!!!!",
		"padded":            good + "=",
		"line break":        good[:5] + "\n" + good[5:],
		"truncated":         encode(raw[:len(raw)-1]...),
		"trailing":          encode(append(raw[:len(raw):len(raw)], 0)...),
		"too long":          "c" + strings.Repeat("A", maxCursorBytes),
		"version 2":         encode(2, 0, 0),
		"bad node":          encode(1, 1, '\n', 0),
		"node past end":     encode(1, 64, 'a'),
		"count past end":    encode(1, 0, 100),
		"huge count":        encode(1, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
		"same channel":      encode(append(append([]byte{1, 0, 2}, entry...), entry...)...),
		"no position":       encode(1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0),
		"unknown kind":      encode(1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 4, 0),
		"plain, no node":    encode(1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, cursorPlain, 1),
		"long number":       encode(1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, cursorDurable, 0x81, 0, 0),
		"overflowed number": encode(1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, cursorDurable, 255, 255, 255, 255, 255, 255, 255, 255, 255, 127, 0),
	}
	if _, err := ParseCursor(good); err != nil {
		t.Fatalf("ParseCursor(%q): %v", good, err)
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if c, err := ParseCursor(text); !errors.Is(err, errCursor) {
				t.Errorf("ParseCursor(%q) = %+v, %v, want errCursor", text, c, err)
			}
		})
	}
}

func FuzzParseCursor(f *testing.F) {
	var c Cursor
	f.Add(c.String())
	c.Set("news", Position{Ms: 1732345678901})
	c.Set("user.7", Position{Node: "node", Seq: 300})
	f.Add(c.String())
	f.Add("cAQAA")
	f.Add("c")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err != nil {
			if !errors.Is(err, errCursor) {
				t.Fatalf("error %v is not errCursor", err)
			}
			return
		}
		if again := c.String(); again != s {
			t.Fatalf("%q is written again as %q", s, again)
		}
	})
}
