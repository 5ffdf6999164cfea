package fanout

import (
	"strings"
	"testing"
)

func FuzzParseWire(f *testing.F) {
	for _, s := range []string{"", "x", "\x1e", "\x1e\x1e", "\x1e1-2\x1ex", "\x1e1-2\x1e", "\x1e~n-2\x1ex", "\x1e0-0\x1e",
		"\x1e18446744073709551615-18446744073709551615\x1e{}",
		"\x1eU\x1e\"anna\"\x1e{}", "\x1eU1-2\x1e\"a\\u001eb\"\x1e{}", "\x1eU\x1eanna\x1e{}", "\x1eU\x1e\"\"\x1e\x1e1-2\x1ex", "\x1eU0-0\x1e\"a\"\x1ex",
		"\x1eU\x1e\"anna\"", "\x1eP\x1e{}", "\x1eF\x1e", "\x1eF1-2\x1e", "\x1eF1-2\x1ex", "\x1eF0-0\x1e", "\x1eF~n-1\x1e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseWire(s)
		switch {
		case !ok:
			if !strings.HasPrefix(s, "\x1eP\x1e") {
				t.Fatalf("%q is nothing", s)
			}
			return
		case m.forget:
			again := "\x1eF\x1e"
			if !m.id.IsZero() {
				again = "\x1eF" + m.id.Position().String() + "\x1e"
			}
			if s != again || m.durable || m.payload != "" || m.user != "" {
				t.Fatalf("%q is read as %+v", s, m)
			}
			return
		case m.durable == m.id.IsZero():
			t.Fatalf("%q: durable %v with id %v", s, m.durable, m.id)
		case !strings.HasSuffix(s, m.payload):
			t.Fatalf("%q has the payload %q", s, m.payload)
		case len(m.payload) == len(s):
			if m.durable || m.user != "" {
				t.Fatalf("%q has no mark, and yet %+v", s, m)
			}
			return
		}
		// As it is spelled here, the same message is read from it.
		again := "\x1e" + m.id.Position().String() + "\x1e" + m.payload
		if !m.durable {
			again = string(withUser([]byte(m.payload), m.user))
		} else if m.user != "" {
			again = strings.Replace(string(withUser([]byte(m.payload), m.user)), "U", "U"+m.id.Position().String(), 1)
		}
		if m2, ok := parseWire(again); !ok || m2 != m {
			t.Fatalf("%q was read as %+v, %q as %+v", s, m, again, m2)
		}
	})
}

func TestParseWire(t *testing.T) {
	const longest = "18446744073709551615-18446744073709551615"
	for wire, want := range map[string]struct{ id, user, payload string }{
		"\x1e" + longest + "\x1exx":                      {longest, "", "xx"},
		"\x1eU" + longest + "\x1e\"anna\"\x1exx":         {longest, "anna", "xx"},
		"\x1eU\x1e\"anna\"\x1e":                          {"", "anna", ""},
		"\x1eU\x1e\"a\\u001e\\n\\\"é\"\x1exx":            {"", "a\x1e\n\"é", "xx"},
		"\x1eU\x1e\"anna\"\x1e\x1eU\x1e\"eve\"\x1e1":     {"", "anna", "\x1eU\x1e\"eve\"\x1e1"},
		"\x1e1-2\x1e\x1eU\x1e\"eve\"\x1e1":               {"1-2", "", "\x1eU\x1e\"eve\"\x1e1"},
		"\x1eU\x1e\"\"\x1e\x1e1-2\x1ex":                  {"", "", "\x1e1-2\x1ex"},
		"\x1eU\x1eanna\x1exx":                            {"", "", "\x1eU\x1eanna\x1exx"},
		"\x1eU\x1e\"anna\"":                              {"", "", "\x1eU\x1e\"anna\""},
		"\x1eU\x1e7\x1exx":                               {"", "", "\x1eU\x1e7\x1exx"},
		"\x1eU~n-1\x1e\"anna\"\x1exx":                    {"", "", "\x1eU~n-1\x1e\"anna\"\x1exx"},
		"\x1eU0-0\x1e\"anna\"\x1exx":                     {"", "", "\x1eU0-0\x1e\"anna\"\x1exx"},
		"\x1eFF\x1e":                                     {"", "", "\x1eFF\x1e"},
		"\x1eF\x1exx":                                    {"", "", "\x1eF\x1exx"},
		"\x1eP1-2\x1exx":                                 {"", "", "\x1eP1-2\x1exx"},
		"\x1e" + strings.Repeat("1", 50) + "-1" + "\x1e": {"", "", "\x1e" + strings.Repeat("1", 50) + "-1" + "\x1e"},
	} {
		m, ok := parseWire(wire)
		id := ""
		if m.durable {
			id = m.id.Position().String()
		}
		if !ok || id != want.id || m.user != want.user || m.payload != want.payload {
			t.Errorf("%q: %+v, id %q", wire, m, id)
		}
	}
	for wire, id := range map[string]string{"\x1eF\x1e": "0-0", "\x1eF1-2\x1e": "1-2"} {
		if m, ok := parseWire(wire); !ok || !m.forget || m.id.Position().String() != id {
			t.Errorf("%q is read as %+v", wire, m)
		}
	}
	if m, ok := parseWire("\x1eP\x1e{}"); ok {
		t.Errorf("the reserved form is read as %+v", m)
	}
	plain, durable := strings.Repeat("x", 100), "\x1e"+longest+"\x1exx"
	if n := testing.AllocsPerRun(100, func() { parseWire(plain); parseWire(durable) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A payload that could be taken for a message of another kind isn't published plain, except for
// a user: then it may begin with anything.
func TestCheckPayload(t *testing.T) {
	for payload, marked := range map[string]bool{
		"": false, "x": false, "\x1e": false, "\x1e1-2": false, "\x1eU": false, "\x1eU\x1e\"a\"": false,
		"\x1e1-2\x1ex": true, "\x1eU\x1e\"a\"\x1ex": true, "\x1eU1-2\x1e\"a\"\x1ex": true, "\x1eU\x1e\"\"\x1e": true, "\x1eP\x1e": true, "\x1eF\x1e": true, "\x1eF1-2\x1e": true,
	} {
		if err := CheckPayload([]byte(payload), PublishOptions{}); (err != nil) != marked {
			t.Errorf("%q: %v", payload, err)
		}
		for _, o := range []PublishOptions{{Durable: true}, {User: "anna"}} {
			if err := CheckPayload([]byte(payload), o); err != nil {
				t.Errorf("%q with %+v: %v", payload, o, err)
			}
		}
		if m, ok := parseWire(string(withUser([]byte(payload), "anna"))); !ok || m.user != "anna" || m.payload != payload {
			t.Errorf("%q of a user is read as %+v", payload, m)
		}
	}
}
