package fanout

import (
	"strings"
	"testing"
)

func FuzzParseWire(f *testing.F) {
	for _, s := range []string{"", "x", "\x1e", "\x1e\x1e", "\x1e1-2\x1ex", "\x1e1-2\x1e", "\x1e~n-2\x1ex", "\x1e0-0\x1e",
		"\x1e18446744073709551615-18446744073709551615\x1e{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, payload, durable := parseWire(s)
		if !durable {
			if payload != s || !id.IsZero() {
				t.Fatalf("plain %q became %q with id %s", s, payload, id)
			}
			return
		}
		if again := "\x1e" + id.String() + "\x1e" + payload; again != s || !id.Durable() || id.IsZero() {
			t.Fatalf("%q was read as %q", s, again)
		}
	})
}

func TestParseWire(t *testing.T) {
	long := "\x1e18446744073709551615-18446744073709551615\x1e" + strings.Repeat("x", 100)
	id, payload, durable := parseWire(long)
	if !durable || id.String() != "18446744073709551615-18446744073709551615" || len(payload) != 100 {
		t.Errorf("the longest id: %v %s %d", durable, id, len(payload))
	}
	if n := testing.AllocsPerRun(100, func() { parseWire(long) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
