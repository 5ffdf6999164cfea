package auth

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEscape(t *testing.T) {
	for sub, want := range map[string]string{
		"":                 "",
		"anna":             "anna",
		"a-b_c@d~!$+#":     "a-b_c@d~!$+#",
		"YWJj==":           "YWJj==",
		"a=b":              "a=b",
		"auth0|5f7c8ec":    "auth0=7C5f7c8ec",
		"anna@example.com": "anna@example=2Ecom",
		"urn:user:42":      "urn=3Auser=3A42",
		"a/b*{sub} ":       "a=2Fb=2A=7Bsub=7D=20",
		"a=2Eb":            "a=3D2Eb",
		"==2E":             "==3D2E",
		"=2.":              "=2=2E",
		"=.":               "==2E",
		"Zoë":              "Zo=C3=AB",
		"\x00":             "=00",
	} {
		if got := Escape(sub); got != want {
			t.Errorf("%q is %q, want %q", sub, got, want)
		}
	}
}

// unescape is the way back, written another way.
func unescape(name string) string {
	var b []byte
	for i := 0; i < len(name); i++ {
		if name[i] == '=' && len(name) > i+2 && strings.ToUpper(name[i:i+3]) == name[i:i+3] {
			if code, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				b, i = append(b, byte(code)), i+2
				continue
			}
		}
		b = append(b, name[i])
	}
	return string(b)
}

// subjects are drawn from what identity providers issue and from what is there
// to reach for others.
var subjects = rapid.Custom(func(r *rapid.T) string {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", ".", ":", "/", "*", "**", "=", "=2E", "=3D", "2E", "E", "#", "|", "@", "{sub}", "=2e"}),
		rapid.String(),
	)
	return strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(r, "pieces"), "")
}).Filter(func(s string) bool { return s != "" && len(s) <= maxSubject })

// TestEscapeIsExact: a subject's form is part of a segment of a channel's name,
// says which subject it is, and is the subject itself where that is such a part
// already and doesn't look like an escaped one.
func TestEscapeIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		sub := subjects.Draw(r, "sub")
		name := Escape(sub)
		if back := unescape(name); back != sub {
			r.Fatalf("%q became %q, which is %q", sub, name, back)
		}
		if len(name) != escapedLen(sub) || segment(name) != len(name) {
			r.Fatalf("%q became %q", sub, name)
		}
		for i := range name {
			if err := channelName(name[i : i+1]); err != nil {
				r.Fatalf("%q became %q: %v", sub, name, err)
			}
		}
		if channelName(sub) == nil && segment(sub) == len(sub) && unescape(sub) == sub && name != sub {
			r.Fatalf("%q became %q", sub, name)
		}
	})
}

// TestSubjectsStayApart: where {sub} is a segment of a pattern, a client reaches
// no channel with anything else in this segment, whatever its subject is.
func TestSubjectsStayApart(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		before := rapid.SampledFrom([]string{"", "user.", "*.", "a/*:"}).Draw(r, "before")
		after := rapid.SampledFrom([]string{"", ".x", ".*", "/**", ":x.**"}).Draw(r, "after")
		p, err := parsePatterns([]string{before + subject + after}, channelName)
		if err != nil {
			r.Fatal(err)
		}
		mine, other := subjects.Draw(r, "mine"), subjects.Draw(r, "other")
		fillIn := strings.NewReplacer("**", "x.y", "*", "x")
		head, tail := fillIn.Replace(before), fillIn.Replace(after)
		if own := head + Escape(mine) + tail; !p.match(own, mine) {
			r.Fatalf("%q does not reach %q", mine, own)
		}
		if theirs := head + Escape(other) + tail; p.match(theirs, mine) != (other == mine) {
			r.Fatalf("%q is taken for %q at %q with %s", mine, other, theirs, p.For(""))
		}
		if theirs := head + other + tail; segment(other) == len(other) && p.match(theirs, mine) && unescape(other) != mine {
			r.Fatalf("%q reaches %q with %s", mine, theirs, p.For(""))
		}
	})
}
