package auth

import (
	"errors"
	"fmt"
	"strings"
)

// maxPattern bounds the text of one pattern; a channel name has at most 200
// bytes, and {sub} takes five for a subject of any length.
const maxPattern = 256

// Patterns is a compiled list of channel patterns; the package comment has the
// language. It is one pointer, immutable, and safe for concurrent use. The zero
// value matches nothing.
type Patterns struct{ set *patternSet }

type patternSet struct {
	list []pattern
	// usesSubject is set when {sub} stands in one of them.
	usesSubject bool
}

type pattern struct {
	text string
	// exact patterns have neither wildcard nor {sub}.
	exact bool
}

// ParsePatterns compiles patterns that stand in the configuration, where there
// is no subject and {sub} is refused. channelName judges channel names.
func ParsePatterns(list []string, channelName func(name string) error) (Patterns, error) {
	p, err := parsePatterns(list, channelName)
	if err == nil && p.usesSubject() {
		err = errors.New(subject + " has a meaning in tokens only")
	}
	if err != nil {
		return Patterns{}, err
	}
	return p, nil
}

func parsePatterns(list []string, valid func(string) error) (Patterns, error) {
	if len(list) == 0 {
		return Patterns{}, nil
	}
	set := &patternSet{list: make([]pattern, 0, len(list))}
	for _, text := range list {
		if err := checkPattern(text, valid); err != nil {
			return Patterns{}, fmt.Errorf("pattern %q: %w", text, err)
		}
		set.usesSubject = set.usesSubject || strings.Contains(text, subject)
		set.list = append(set.list, pattern{text: text, exact: !strings.ContainsAny(text, "*{")})
	}
	return Patterns{set}, nil
}

// checkPattern enforces the rules that keep match linear: one * in a segment, and
// ** at the end in a segment without another *. Literal text must be possible in a
// channel name.
func checkPattern(text string, valid func(string) error) error {
	if text == "" {
		return errors.New("is empty")
	}
	if len(text) > maxPattern {
		return fmt.Errorf("is longer than %d bytes", maxPattern)
	}
	head, rest := strings.CutSuffix(text, "**")
	stars := 0
	for i := range len(head) {
		switch {
		case separator(head[i]):
			stars = 0
		case head[i] == '*':
			stars++
		}
		if stars > 1 {
			return errors.New("has more than one * in a segment, or ** before its end")
		}
	}
	if rest && stars > 0 {
		return errors.New("has * and ** in one segment")
	}
	if strings.ContainsAny(text, "*{") {
		text = wildcards.Replace(fill(text, "s"))
	}
	return valid(text)
}

// wildcards makes a channel name of a pattern that matches it.
var wildcards = strings.NewReplacer("**", "s", "*", "s")

// Covers reports whether a pattern matches all that another does, where that can
// be told by their texts: they are the same, it ends with ** where the other goes
// on, or the other is a channel's name.
func Covers(pattern, other string) bool {
	if pattern == other {
		return true
	}
	if head, ok := strings.CutSuffix(pattern, "**"); ok && !strings.Contains(head, "*") {
		return strings.HasPrefix(other, head) && len(other) > len(head)
	}
	return !strings.Contains(other, "*") && match(pattern, "", other)
}

// Match reports whether a pattern of the list matches the channel. Patterns
// with {sub} match nothing here.
func (p Patterns) Match(channel string) bool { return p.match(channel, "") }

func (p Patterns) match(channel, sub string) bool {
	if p.set == nil {
		return false
	}
	for i := range p.set.list {
		e := &p.set.list[i]
		if e.exact && e.text == channel || !e.exact && match(e.text, sub, channel) {
			return true
		}
	}
	return false
}

// For returns the patterns as they are for a subject, separated by commas; for
// none as they were written.
func (p Patterns) For(sub string) string {
	if p.set == nil {
		return ""
	}
	list := make([]string, len(p.set.list))
	for i, e := range p.set.list {
		list[i] = fill(e.text, sub)
	}
	return strings.Join(list, ",")
}

func (p Patterns) usesSubject() bool { return p.set != nil && p.set.usesSubject }

// match compares in one pass over both strings. Where a * stands, the end of
// the channel's segment and the length of the text behind the * in the pattern's
// segment say how much it takes, so nothing is tried twice.
func match(p, sub, ch string) bool {
	for p != "" {
		switch {
		case p == "**":
			return ch != ""
		case p[0] == '*':
			p = p[1:]
			took := segment(ch) - expanded(p[:segment(p)], sub)
			if took < 1 {
				return false
			}
			ch = ch[took:]
		case strings.HasPrefix(p, subject):
			rest, ok := cutSubject(ch, sub)
			if !ok || sub == "" {
				return false
			}
			p, ch = p[len(subject):], rest
		default:
			if ch == "" || ch[0] != p[0] {
				return false
			}
			p, ch = p[1:], ch[1:]
		}
	}
	return ch == ""
}

// segment returns the number of bytes before the next separator or the end.
func segment(s string) int {
	for i := range len(s) {
		if separator(s[i]) {
			return i
		}
	}
	return len(s)
}

// expanded returns the length of a segment without wildcards once sub is put in.
func expanded(segment, sub string) int {
	n := strings.Count(segment, subject)
	if n == 0 {
		return len(segment)
	}
	return len(segment) + n*(escapedLen(sub)-len(subject))
}

func separator(b byte) bool { return b == '.' || b == ':' || b == '/' }
