package auth

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternMatch(t *testing.T) {
	for name, tt := range map[string]struct {
		pattern, sub string
		yes, no      []string
	}{
		"exact": {
			pattern: "news",
			yes:     []string{"news"},
			no:      []string{"", "new", "newss", "news.uk", "News"},
		},
		"one segment": {
			pattern: "news.*",
			yes:     []string{"news.uk", "news.a-b"},
			no:      []string{"news", "news.", "news.uk.sport", "news.uk/sport", "news.uk:sport", "news:uk", "xnews.uk"},
		},
		"separators are not exchangeable": {
			pattern: "a/*:b",
			yes:     []string{"a/x:b"},
			no:      []string{"a.x:b", "a/x.b", "a/x/b", "a/:b"},
		},
		"segment in the middle": {
			pattern: "room.*.chat",
			yes:     []string{"room.1.chat"},
			no:      []string{"room..chat", "room.1.2.chat", "room.1.chats", "room.chat"},
		},
		"beside letters": {
			pattern: "a*b",
			yes:     []string{"axb", "abb", "aab", "axxxb"},
			no:      []string{"ab", "a.b", "axbx", "xaxb"},
		},
		"only a star": {
			pattern: "*",
			yes:     []string{"news"},
			no:      []string{"", "news.uk"},
		},
		"the rest": {
			pattern: "news.**",
			yes:     []string{"news.uk", "news.uk.sport", "news..", "news.a/b:c"},
			no:      []string{"news", "news.", "newsx", "xnews.uk"},
		},
		"the rest of a segment and more": {
			pattern: "user**",
			yes:     []string{"users", "user.a.b"},
			no:      []string{"user", "use"},
		},
		"everything": {
			pattern: "**",
			yes:     []string{"a", "a.b:c/d"},
			no:      []string{""},
		},
		"star and rest": {
			pattern: "*.log.**",
			yes:     []string{"a.log.x", "a.log.x.y"},
			no:      []string{"a.b.log.x", ".log.x", "a.log."},
		},
		"subject": {
			pattern: "user.{sub}", sub: "bob",
			yes: []string{"user.bob"},
			no:  []string{"user.bo", "user.bobb", "user.", "user.alice", "user.bob.x"},
		},
		"subject inside": {
			pattern: "{sub}-*-{sub}.x", sub: "bob",
			yes: []string{"bob-1-bob.x"},
			no:  []string{"bob--bob.x", "bob-1-bo.x", "bob-1-bob"},
		},
		"no subject": {
			pattern: "user.{sub}", sub: "",
			no: []string{"user.", "user.{sub}", "user"},
		},
		"subject like a wildcard": {
			pattern: "user.{sub}", sub: "**",
			yes: []string{"user.=2A=2A"},
			no:  []string{"user.bob", "user.a.b", "user.**"},
		},
		"subject of several segments": {
			pattern: "*.{sub}-*.x", sub: "a.b",
			yes: []string{"user.a=2Eb-1.x"},
			no:  []string{"user.a.b-1.x", "user.a=2eb-1.x", "user.a=2Eb-.x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := parsePatterns([]string{tt.pattern}, channelName)
			if err != nil {
				t.Fatal(err)
			}
			for _, ch := range tt.yes {
				if !p.match(ch, tt.sub) {
					t.Errorf("%q does not match %q", tt.pattern, ch)
				}
			}
			for _, ch := range tt.no {
				if p.match(ch, tt.sub) {
					t.Errorf("%q matches %q", tt.pattern, ch)
				}
			}
		})
	}
}

func TestPatternRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                  "",
		"two stars in a segment": "a*b*",
		"rest not at the end":    "a.**.b",
		"three stars":            "***",
		"star beside rest":       "a*b**",
		"space":                  "a b",
		"unknown braces":         "user.{subject}",
		"another wildcard":       "a.>",
		"too long":               strings.Repeat("a", 257),
		"longer than a name":     strings.Repeat("a", 201),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := ParsePatterns([]string{"fine", text}, channelName); err == nil || p != (Patterns{}) {
				t.Errorf("%q was accepted", text)
			}
		})
	}
}

func TestParsePatternsHasNoSubject(t *testing.T) {
	if _, err := ParsePatterns([]string{"user.{sub}"}, channelName); err == nil {
		t.Error("{sub} was accepted outside of tokens")
	}
	p, err := ParsePatterns([]string{"a.*", "b"}, channelName)
	if err != nil || !p.Match("b") || !p.Match("a.x") || p.Match("c") || p.For("") != "a.*,b" {
		t.Errorf("got %v, %v", p, err)
	}
	var none Patterns
	if none.Match("a") || none.For("u") != "" {
		t.Error("the zero value matches")
	}
}

// reference says the same as match by way of a regular expression.
func reference(pattern, sub string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for pattern != "" {
		switch {
		case strings.HasPrefix(pattern, "**"):
			b.WriteString(".+")
			pattern = pattern[2:]
		case pattern[0] == '*':
			b.WriteString("[^.:/]+")
			pattern = pattern[1:]
		case strings.HasPrefix(pattern, subject):
			if sub == "" {
				b.WriteString("[^\x00-\\x{10FFFF}]") // nothing
			}
			b.WriteString(regexp.QuoteMeta(Escape(sub)))
			pattern = pattern[len(subject):]
		default:
			b.WriteString(regexp.QuoteMeta(pattern[:1]))
			pattern = pattern[1:]
		}
	}
	return regexp.MustCompile(b.String() + `$`)
}

func checkMatch(t testing.TB, pattern, sub, channel string) {
	if got, want := match(pattern, sub, channel), reference(pattern, sub).MatchString(channel); got != want {
		t.Errorf("match(%q, %q, %q) = %v, want %v", pattern, sub, channel, got, want)
	}
}

// TestPatternReference draws from few letters, so that much matches.
func TestPatternReference(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		piece := rapid.SampledFrom([]string{"a", "b", ".", "/", "*", "**", subject, "ab"})
		pattern := strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(r, "pattern"), "")
		if checkPattern(pattern, channelName) != nil {
			r.Skip("not a pattern")
		}
		sub := rapid.SampledFrom([]string{"", "a", "b", "ab", "a.", "*", "=2E"}).Draw(r, "sub")
		letters := rapid.SampledFrom([]string{"a", "b", ".", "/", "ab", "a=2E", "=2A", "=3D2E"})
		channel := strings.Join(rapid.SliceOfN(letters, 0, 10).Draw(r, "channel"), "")
		if got, want := match(pattern, sub, channel), reference(pattern, sub).MatchString(channel); got != want {
			r.Fatalf("match(%q, %q, %q) = %v, want %v", pattern, sub, channel, got, want)
		}
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("news.*", "", "news.uk")
	f.Add("a*b.{sub}.**", "bob", "aab.bob.x")
	f.Add("{sub}*{sub}", "aa", "aaaaa")
	f.Add("{sub}.*", "a.b", "a=2Eb.c")
	f.Fuzz(func(t *testing.T, pattern, sub, channel string) {
		if checkPattern(pattern, channelName) != nil || len(channel) > 300 || len(sub) > maxSubject {
			return
		}
		if channelName(channel) != nil {
			return
		}
		checkMatch(t, pattern, sub, channel)
	})
}

// BenchmarkPattern compares the length of the work with the length of the
// names; the patterns are the worst for matchers that try again.
func BenchmarkPattern(b *testing.B) {
	for name, n := range map[string]int{"25": 25, "200": 200} {
		p := Patterns{&patternSet{list: []pattern{{text: strings.Repeat("*.", n/4) + "a*a"}}}}
		channel := strings.Repeat("a.", n/4) + strings.Repeat("a", n/2-1) + "b"
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Match(channel) {
					b.Fatal("matched")
				}
			}
		})
	}
}

func TestCovers(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"a", "a"}: true, {"a.*", "a.*"}: true, {"a.*", "a.b"}: true, {"**", "a.*"}: true, {"a.**", "a.b.**"}: true, {"a.**", "a.*.c"}: true, {"a*", "ab"}: true,
		{"a.b", "a.*"}: false, {"a.*", "a.b.c"}: false, {"a.*", "a.**"}: false, {"a.**", "a."}: false, {"a.**", "a"}: false, {"*.**", "a.*"}: false,
	} {
		if got := Covers(pair[0], pair[1]); got != want {
			t.Errorf("%s covers %s: %v", pair[0], pair[1], got)
		}
	}
}
