package message

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePosition(t *testing.T) {
	tests := map[string]struct {
		text string
		want Position
		bad  bool
	}{
		"durable":           {text: "1732345678901-7", want: Position{Ms: 1732345678901, Seq: 7}},
		"start":             {text: "0-0", want: Position{}},
		"largest":           {text: "18446744073709551615-18446744073709551615", want: Position{Ms: math.MaxUint64, Seq: math.MaxUint64}},
		"plain":             {text: "~a1-42", want: Position{Node: "a1", Seq: 42}},
		"node with dashes":  {text: "~edge-7-b-42", want: Position{Node: "edge-7-b", Seq: 42}},
		"longest node":      {text: "~" + strings.Repeat("n", 64) + "-1", want: Position{Node: strings.Repeat("n", 64), Seq: 1}},
		"empty":             {text: "", bad: true},
		"no dash":           {text: "1732345678901", bad: true},
		"no ms":             {text: "-1", bad: true},
		"no seq":            {text: "1-", bad: true},
		"three parts":       {text: "1-2-3", bad: true},
		"sign":              {text: "+1-2", bad: true},
		"leading zero":      {text: "01-2", bad: true},
		"too large":         {text: "18446744073709551616-0", bad: true},
		"much too large":    {text: "1-99999999999999999999999999", bad: true},
		"no node":           {text: "~-1", bad: true},
		"node too long":     {text: "~" + strings.Repeat("n", 65) + "-1", bad: true},
		"node with newline": {text: "~a\nb-1", bad: true},
		"node with quote":   {text: `~a"b-1`, bad: true},
		"trailing space":    {text: "1-2 ", bad: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePosition(tt.text)
			if tt.bad {
				if !errors.Is(err, errPosition) {
					t.Fatalf("ParsePosition(%q) = %v, %v, want errPosition", tt.text, got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Fatalf("ParsePosition(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
			}
			if got.String() != tt.text {
				t.Errorf("String() = %q, want %q", got, tt.text)
			}
		})
	}
}

func TestPositionLess(t *testing.T) {
	tests := map[string]struct {
		p, q string
		want bool
	}{
		"earlier ms":   {"1-9", "2-0", true},
		"earlier seq":  {"2-0", "2-1", true},
		"equal":        {"2-1", "2-1", false},
		"later":        {"3-0", "2-9", false},
		"plain":        {"~a-1", "~a-2", true},
		"other node":   {"~a-1", "~b-2", false},
		"plain, other": {"~a-1", "2-0", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, q := mustPosition(t, tt.p), mustPosition(t, tt.q)
			if got := p.Less(q); got != tt.want {
				t.Errorf("%v.Less(%v) = %v, want %v", p, q, got, tt.want)
			}
		})
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"1732345678901-0", "~node-1-5", "0-0", "~-1", "--", "~~-0", "18446744073709551616-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			if !errors.Is(err, errPosition) {
				t.Fatalf("error %v is not errPosition", err)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q parsed to %v", s, p)
		}
	})
}

// drawPosition makes any position that can be written, plain ones of node.
func drawPosition(t *rapid.T, node string) Position {
	if rapid.Bool().Draw(t, "plain") {
		return Position{Node: node, Seq: rapid.Uint64().Draw(t, "seq")}
	}
	return Position{Ms: rapid.Uint64().Draw(t, "ms"), Seq: rapid.Uint64().Draw(t, "seq")}
}

func mustPosition(t testing.TB, s string) Position {
	t.Helper()
	p, err := ParsePosition(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
