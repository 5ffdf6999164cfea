package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// kosme is the Greek word that Markus Kuhn's UTF-8 decoder stress test begins
// with; Autobahn's section 6 is made of that test. Its second letter takes three
// bytes.
const kosme = "κ\u1f79σμε"

// Section 6: text is UTF-8, however it's cut.
func TestConformanceText(t *testing.T) {
	t.Parallel()
	in := echoing(t)
	const umlauts = "Hello-µ@ßöäüàá-UTF-8!!"
	broken := kosme + "\xed\xa0\x80edited"
	cases := map[string]conformance{
		"6.1.1": {send: []string{masked(fin|1, "")}, want: []string{"text "}},
		"6.1.2": {send: []string{masked(1, ""), masked(0, ""), masked(fin|0, "")}, want: []string{"text "}},
		"6.1.3": {send: []string{masked(1, ""), masked(0, "middle frame payload"), masked(fin|0, "")}, want: []string{"text middle frame payload"}},
		"6.2.1": {send: []string{masked(fin|1, umlauts)}, want: []string{"text " + umlauts}},
		"6.2.2": {send: []string{masked(1, "Hello-µ@ßöä"), masked(fin|0, "üàá-UTF-8!!")}, want: []string{"text " + umlauts}},
		"6.2.3": {send: fragments(1, umlauts, 1), want: []string{"text " + umlauts}},
		"6.2.4": {send: fragments(1, kosme, 1), want: []string{"text " + kosme}},
		"6.3.1": {send: []string{masked(fin|1, broken)}, code: 1007},
		"6.3.2": {send: fragments(1, broken, 1), code: 1007},

		"binary needn't be": {send: []string{masked(fin|2, broken)}, want: []string{"binary " + broken}},
		"nor a ping":        {send: []string{masked(fin|9, broken)}, want: []string{"pong " + broken}},
	}
	for section, group := range utf8Groups() {
		for i, s := range group {
			id := fmt.Sprintf("6.%d.%d", section, i+1)
			c := conformance{code: 1007}
			if s.valid {
				c = conformance{want: []string{"text " + s.text}}
			}
			c.send = []string{masked(fin|1, s.text)}
			cases[id] = c
			c.send = fragments(1, s.text, 1)
			cases[id+" in fragments"] = c
			c.send, c.chop = []string{masked(fin|1, s.text)}, alone
			cases[id+" in chops"] = c
		}
	}
	in.conform(t, cases)
}

// 6.4: text that has become invalid fails the connection at once, before the
// message or the frame is complete. The suite calls it NON-STRICT to wait.
func TestConformanceTextFailsFast(t *testing.T) {
	in := echoing(t)
	const beyond = "\xf4\x90\x80\x80" // U+110000; the second byte is one too many
	text := kosme + beyond + "edited"
	for id, tc := range map[string]struct{ first, second string }{
		"6.4.1": {masked(1, kosme), masked(0, beyond)},
		"6.4.2": {masked(1, text[:12]), masked(0, text[12:13])},
		"6.4.3": {header(fin|1, len(text)) + mask(text)[:11], mask(text)[11:15]},
		"6.4.4": {header(fin|1, len(text)) + mask(text)[:12], mask(text)[12:13]},
	} {
		t.Run(id, func(t *testing.T) {
			p := in.tester(t, "/debug/echo")
			before := in.totals().closes[reasons.CloseBadData]
			if err := p.writeSlowly(in, []string{tc.first}, perFrame); err != nil {
				t.Fatal(err)
			}
			if n := in.totals().closes[reasons.CloseBadData]; n != before {
				t.Fatal("failed too early")
			}
			if err := p.writeSlowly(in, []string{tc.second}, perFrame); err != nil {
				t.Fatal(err)
			}
			if got := p.listen(t); len(got.said) > 0 || got.code != 1007 {
				t.Errorf("heard %s, closed with %d", brief(got.said), got.code)
			}
		})
	}
}

// sequence is some text and whether it is UTF-8.
type sequence struct {
	valid bool
	text  string
}

// utf8Groups returns the sequences of sections 6.5 to 6.23.
func utf8Groups() map[int][]sequence {
	valid := func(texts ...string) (out []sequence) {
		for _, s := range texts {
			out = append(out, sequence{true, s})
		}
		return out
	}
	invalid := func(texts ...string) (out []sequence) {
		for _, s := range texts {
			out = append(out, sequence{false, s})
		}
		return out
	}
	var prefixes []sequence
	for n := 1; n <= len(kosme); n++ {
		whole := n == 2 || n == 5 || n == 7 || n == 9 || n == 11
		prefixes = append(prefixes, sequence{whole, kosme[:n]})
	}
	run := func(from, to byte, between string) string {
		var b strings.Builder
		for c := from; c < to; c++ {
			b.WriteByte(c)
			b.WriteString(between)
		}
		return b.String()
	}
	cut := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	noncharacters := valid("\ufffe", "\uffff")
	for plane := rune(1); plane <= 16; plane++ {
		noncharacters = append(noncharacters, valid(string(plane<<16|0xfffe), string(plane<<16|0xffff))...)
	}
	return map[int][]sequence{
		5:  valid("hello$world", "hello¢world", "hello€world", "hello𤭢world", kosme),
		6:  prefixes,
		7:  valid("\x00", "\u0080", "\u0800", "\U00010000"),                                 // first of each length
		8:  invalid("\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"),                     // the same, 5 and 6 bytes
		9:  valid("\x7f", "\u07ff", "\uffff", "\U0010ffff"),                                 // last of each length
		10: invalid("\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"), // the same
		11: append(valid("\ud7ff", "\ue000", "\ufffd", "\U0010ffff"), invalid("\xf4\x90\x80\x80")...),
		12: invalid("\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf",
			run(0x80, 0xbf, "")), // unexpected continuations
		13: invalid(run(0xc0, 0xdf, " "), run(0xe0, 0xef, " "), run(0xf0, 0xf7, " "), run(0xf8, 0xfb, " "), run(0xfc, 0xfd, " ")), // lonely starts
		14: invalid(cut...),                                                                                                       // the last continuation is missing
		15: invalid(strings.Join(cut, "")),
		16: invalid("\xfe", "\xff", "\xfe\xfe\xff\xff"),
		17: invalid("\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"),             // overlong /
		18: invalid("\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"),             // longest overlong
		19: invalid("\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"),             // overlong NUL
		20: invalid("\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"), // surrogates
		21: invalid("\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"), // pairs of them
		22: noncharacters,
		23: valid("\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"),
	}
}

// The table agrees with the standard library on each sequence.
func TestUTF8GroupsAreRight(t *testing.T) {
	for section, group := range utf8Groups() {
		for i, s := range group {
			if utf8.ValidString(s.text) != s.valid {
				t.Errorf("6.%d.%d: %q is called valid: %v", section, i+1, s.text, s.valid)
			}
		}
	}
	if n := len(utf8Groups()[22]); n != 34 {
		t.Errorf("%d noncharacters, want 34", n)
	}
}
