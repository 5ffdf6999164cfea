package loadgen

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const testRun = "1f2e3d4c"

// A payload is JSON, has the size asked for, and gives back its stamp from
// inside any envelope.
func TestPayloadProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Stamp{
			Channel: rapid.Uint32().Draw(t, "channel"),
			Seq:     rapid.Uint32().Draw(t, "seq"),
			Due:     rapid.Int64Range(0, math.MaxInt64).Draw(t, "due"),
			Sent:    rapid.Int64Range(0, math.MaxInt64).Draw(t, "sent"),
		}
		size := rapid.IntRange(minPayload, 2000).Draw(t, "size")
		p := appendPayload(nil, testRun, want, size)
		if len(p) != size || !json.Valid(p) {
			t.Fatalf("%d bytes, want %d: %s", len(p), size, p)
		}
		message := append([]byte(`{"type":"message","channel":"news","id":"~n-1","data":`), p...)
		got, _, r := findStamp(append(message, '}'), testRun)
		if r != stampFound || got != want {
			t.Fatalf("found %v %+v, want %+v", r, got, want)
		}
	})
}

// 64 bytes are the smallest payload that anybody compares.
func TestPayloadIsSmall(t *testing.T) {
	if minPayload > 64 {
		t.Errorf("a payload has at least %d bytes", minPayload)
	}
}

func TestFindStamp(t *testing.T) {
	good := string(appendPayload(nil, testRun, Stamp{1, 2, 3, 4}, minPayload))
	tests := map[string]struct {
		text string
		want stampResult
	}{
		"good":              {good, stampFound},
		"cut in numbers":    {good[:45], stampBad},
		"cut in run":        {good[:12], stampBad},
		"other run":         {strings.Replace(good, testRun, "00000000", 1), stampForeign},
		"no payload":        {`{"hello":1}`, stampNone},
		"key missing":       {strings.Replace(good, stampAt, `","to":"`, 1), stampBad},
		"no base64":         {strings.Replace(good, "AAAA", "AA~A", 1), stampBad},
		"line end":          {strings.Replace(good, "AAAA", "AA\nA", 1), stampBad},
		"time before epoch": {string(appendPayload(nil, testRun, Stamp{1, 2, -3, 4}, minPayload)), stampBad},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, r := findStamp([]byte(tt.text), testRun); r != tt.want {
				t.Errorf("got %v, want %v", r, tt.want)
			}
		})
	}
}

// Several stamps in one text, as in a poll's answer, are found one by one.
func TestFindStamps(t *testing.T) {
	var p []byte
	for seq := uint32(1); seq <= 3; seq++ {
		p = appendPayload(append(p, ','), testRun, Stamp{Seq: seq}, 200)
	}
	for seq := uint32(1); seq <= 3; seq++ {
		s, rest, r := findStamp(p, testRun)
		if r != stampFound || s.Seq != seq {
			t.Fatalf("found %v %+v, want seq %d", r, s, seq)
		}
		p = rest
	}
	if _, _, r := findStamp(p, testRun); r != stampNone {
		t.Errorf("a fourth: %v", r)
	}
}

func FuzzFindStamp(f *testing.F) {
	f.Add(appendPayload(nil, testRun, Stamp{1, 2, 3, 4}, 150))
	f.Add([]byte(`{"run":"1f2e3d4c","at":"____________________________`))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, rest, r := findStamp(p, testRun)
		if r == stampFound && (s.Due < 0 || s.Sent < 0) {
			t.Fatalf("%q: %+v", p, s)
		}
		if len(rest) >= len(p) && len(p) > 0 {
			t.Fatalf("%q: no progress", p)
		}
	})
}

func BenchmarkFindStamp(b *testing.B) {
	p := append([]byte(`{"type":"message","channel":"room.17","id":"1732345678901-0","data":`), appendPayload(nil, testRun, Stamp{1, 2, 1732345678901234567, 1732345678901234567}, 128)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, r := findStamp(p, testRun); r != stampFound {
			b.Fatal(r)
		}
	}
}
