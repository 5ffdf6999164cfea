package configtext

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want map[string]any
	}{
		"nothing":             {"", map[string]any{}},
		"comments":            {"# a\n", map[string]any{}},
		"text as it stands":   {"mode: 0660\noff: off\nn: 1_000\nf: 1e6\nq: \"010\"\n", map[string]any{"mode": "0660", "off": "off", "n": "1_000", "f": "1e6", "q": "010"}},
		"nothing given":       {"a:\nb: ~\nc: null\nd: \"\"\n", map[string]any{"a": nil, "b": nil, "c": nil, "d": ""}},
		"sections":            {"a:\n  b: 1\n  c: {d: 2}\n", map[string]any{"a.b": "1", "a.c.d": "2"}},
		"a section's dot":     {"a.b: 1\na: {c: 2}\n", map[string]any{"a.b": "1", "a.c": "2"}},
		"empty section":       {"a: {}\n", map[string]any{"a": map[string]any{}}},
		"lists":               {"a: [x, 1, null, [y]]\nb:\n- {c: true}\n", map[string]any{"a": []any{"x", "1", nil, []any{"y"}}, "b": []any{map[string]any{"c": "true"}}}},
		"byte order mark":     {"\ufeffa: 1\n", map[string]any{"a": "1"}},
		"UTF-16":              {"\xff\xfea\x00:\x00 \x001\x00", map[string]any{"a": "1"}},
		"carriage returns":    {"a: 1\r\nb: |\r\n  x\r\n  y\r\n", map[string]any{"a": "1", "b": "x\ny\n"}},
		"document's marks":    {"---\na: 1\n...\n", map[string]any{"a": "1"}},
		"an empty second one": {"a: 1\n---\n# nothing\n", map[string]any{"a": "1"}},
		"an empty first one":  {"---\n---\na: 1\n", map[string]any{"a": "1"}},
		"aliases":             {"a: &x {b: 1, d: 4}\nc: *x\ne: {<<: *x, b: 2}\n", map[string]any{"a.b": "1", "a.d": "4", "c.b": "1", "c.d": "4", "e.b": "2", "e.d": "4"}},
		"the first merged":    {"a: {<<: [{b: 1}, {b: 2, c: 3}]}\n", map[string]any{"a.b": "1", "a.c": "3"}},
		"JSON":                {`{"a": {"b": ["c"]}}`, map[string]any{"a.b": []any{"c"}}},
		"said to be text":     {"a: !!str 1\n", map[string]any{"a": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse([]byte(test.text))
			if err != nil || !reflect.DeepEqual(d.Values, test.want) {
				t.Errorf("got %#v, %v", d.Values, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a second document":    {"a: 1\n---\nb: 2\n", "line 3: a second document, behind ---"},
		"a key again":          {"a: 1\nb: 2\na: 3\n", "line 3: a is given again, first on line 1"},
		"a key in a section":   {"a:\n  b: 1\n  b: 2\n", "line 3: a.b is given again, first on line 2"},
		"a key with a dot":     {"a.b: 1\na:\n  b: 2\n", "line 3: a.b is given again, first on line 1"},
		"a key again in lists": {"a: [{b: 1, b: 2}]\n", "line 1: b is given again"},
		"a list":               {"- a\n", "line 1: want keys"},
		"text":                 {"a\n", "line 1: want keys"},
		"no YAML":              {"a: [\n", "line 1"},
		"a tag":                {"a: !vault abc\n", "line 1: the tag !vault has no meaning here"},
		"a tag on a list":      {"a: [!env X]\n", "line 1: the tag !env"},
		"a list for a key":     {"? [a]\n: 1\n", "line 1: want a name for a key"},
		"what holds itself":    {"a: &x [*x]\n", "deeper than 32 levels"},
		"aliases of aliases":   {"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "more than 100000 values"},
		"a merge of text":      {"a: {<<: b}\n", "line 1: want keys with their values to merge"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want %s", d.Values, err, test.want)
			}
		})
	}
}

func TestLines(t *testing.T) {
	d, err := Parse([]byte("# c\na:\n  b: 1\n\nc: [1,\n 2]\nd.e: 4\n"))
	if want := map[string]int{"a": 2, "a.b": 3, "c": 5, "d.e": 7}; err != nil || !reflect.DeepEqual(d.Lines, want) {
		t.Errorf("got %v, %v", d.Lines, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"a: 1\n", "a: &x [*x]", "{<<: [{a: b}]}", "---\n---\n", "\xff\xfe"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		for name := range d.Values {
			if d.Lines[name] < 1 {
				t.Errorf("%q stands nowhere", name)
			}
		}
	})
}
