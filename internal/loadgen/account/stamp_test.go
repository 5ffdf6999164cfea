package account

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
		size := rapid.IntRange(MinPayload, 2000).Draw(t, "size")
		p := AppendPayload(nil, testRun, want, size)
		if len(p) != size || !json.Valid(p) {
			t.Fatalf("%d bytes, want %d: %s", len(p), size, p)
		}
		message := append([]byte(`{"type":"message","channel":"news","id":"~n-1","data":`), p...)
		got, _, r := FindStamp(append(message, '}'), testRun)
		if r != stampFound || got != want {
			t.Fatalf("found %v %+v, want %+v", r, got, want)
		}
	})
}

// 64 bytes are the smallest payload that anybody compares.
func TestPayloadIsSmall(t *testing.T) {
	if MinPayload > 64 {
		t.Errorf("a payload has at least %d bytes", MinPayload)
	}
}

func TestFindStamp(t *testing.T) {
	good := string(AppendPayload(nil, testRun, Stamp{1, 2, 3, 4}, MinPayload))
	tests := map[string]struct {
		text string
		want stampResult
	}{
		"good":              {good, stampFound},
		"cut in numbers":    {good[:45], StampBad},
		"cut in run":        {good[:12], StampBad},
		"other run":         {strings.Replace(good, testRun, "00000000", 1), StampForeign},
		"no payload":        {`{"hello":1}`, StampNone},
		"key missing":       {strings.Replace(good, stampAt, `","to":"`, 1), StampBad},
		"no base64":         {strings.Replace(good, "AAAA", "AA~A", 1), StampBad},
		"line end":          {strings.Replace(good, "AAAA", "AA\nA", 1), StampBad},
		"time before epoch": {string(AppendPayload(nil, testRun, Stamp{1, 2, -3, 4}, MinPayload)), StampBad},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, r := FindStamp([]byte(tt.text), testRun); r != tt.want {
				t.Errorf("got %v, want %v", r, tt.want)
			}
		})
	}
}

// Several stamps in one text, as in a poll's answer, are found one by one.
func TestFindStamps(t *testing.T) {
	var p []byte
	for seq := uint32(1); seq <= 3; seq++ {
		p = AppendPayload(append(p, ','), testRun, Stamp{Seq: seq}, 200)
	}
	for seq := uint32(1); seq <= 3; seq++ {
		s, rest, r := FindStamp(p, testRun)
		if r != stampFound || s.Seq != seq {
			t.Fatalf("found %v %+v, want seq %d", r, s, seq)
		}
		p = rest
	}
	if _, _, r := FindStamp(p, testRun); r != StampNone {
		t.Errorf("a fourth: %v", r)
	}
}

func FuzzFindStamp(f *testing.F) {
	f.Add(AppendPayload(nil, testRun, Stamp{1, 2, 3, 4}, 150))
	f.Add([]byte(`{"run":"1f2e3d4c","at":"____________________________`))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, rest, r := FindStamp(p, testRun)
		if r == stampFound && (s.Due < 0 || s.Sent < 0) {
			t.Fatalf("%q: %+v", p, s)
		}
		if len(rest) >= len(p) && len(p) > 0 {
			t.Fatalf("%q: no progress", p)
		}
	})
}

func BenchmarkFindStamp(b *testing.B) {
	p := append([]byte(`{"type":"message","channel":"room.17","id":"1732345678901-0","data":`), AppendPayload(nil, testRun, Stamp{1, 2, 1732345678901234567, 1732345678901234567}, 128)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, r := FindStamp(p, testRun); r != stampFound {
			b.Fatal(r)
		}
	}
}

// A stamp is found wherever it stands, and only there.
func TestForeignStamp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Stamp{Channel: rapid.Uint32().Draw(t, "channel"), Seq: rapid.Uint32().Draw(t, "seq"), Due: rapid.Int64Min(0).Draw(t, "due"), Sent: rapid.Int64Min(0).Draw(t, "sent")}
		size := rapid.IntRange(0, 500).Draw(t, "size")
		m := AppendForeignPayload(nil, testRun, want, size)
		if len(m) != max(size, minForeign) {
			t.Fatalf("%d bytes, want %d", len(m), size)
		}
		around := rapid.SliceOf(rapid.Byte())
		frame := append(append(around.Draw(t, "before"), m...), '"')
		frame = append(frame, around.Draw(t, "after")...)
		got, rest, r := FindForeignStamp(frame, testRun)
		if r != stampFound || got != want || len(rest) >= len(frame) {
			t.Fatalf("found %v %+v, want %+v", r, got, want)
		}
	})
	good := string(AppendForeignPayload(nil, testRun, Stamp{1, 2, 3, 4}, 0))
	for text, want := range map[string]stampResult{
		good:                                    stampFound,
		testRun + testRun + good[RunLength:]:    stampFound,
		good[:30]:                               StampBad,
		strings.Replace(good, "AA", "A~", 1):    StampBad,
		testRun:                                 StampNone,
		"00000000" + good[RunLength:]:           StampNone,
		`{"run":"` + testRun + `","at":"AAAA"}`: StampNone,
		"":                                      StampNone,
	} {
		if _, _, r := FindForeignStamp([]byte(text), testRun); r != want {
			t.Errorf("%q: %v, want %v", text, r, want)
		}
	}
}
