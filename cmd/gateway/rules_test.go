package main

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"
)

// rule has a field of each kind that a table is likely to hold.
type rule struct {
	Match []string      `koanf:"match"`
	Keep  bool          `koanf:"keep"`
	Most  int           `koanf:"most_bytes"`
	TTL   time.Duration `koanf:"ttl"`
}

func ruleKey() key {
	t := reflect.TypeFor[[]rule]()
	return key{name: "rules", typ: t, kind: kindOf("rules", t)}
}

func TestRulesReads(t *testing.T) {
	want := []rule{
		{Match: []string{"a", "b.*"}, Keep: true, TTL: time.Hour},
		{Match: []string{"c"}, Most: 64 << 10},
	}
	k := ruleKey()
	for name, raw := range map[string]any{
		"from a file": []any{
			map[string]any{"match": []any{"a", "b.*"}, "keep": "true", "ttl": "1h"},
			map[string]any{"match": "c", "most_bytes": "64KiB"},
		},
		"from text":  `[{match: [a, b.*], keep: true, ttl: 1h}, {match: c, most_bytes: 65536}]`,
		"as printed": k.kind.text(reflect.ValueOf(want)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := k.read(raw)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range got.([]rule) {
				if !slices.Equal(r.Match, want[i].Match) {
					t.Errorf("%d: got %v, want %v", i, r.Match, want[i].Match)
				}
				r.Match = want[i].Match
				if !reflect.DeepEqual(r, want[i]) {
					t.Errorf("%d: got %+v, want %+v", i, r, want[i])
				}
			}
			if n := len(got.([]rule)); n != len(want) {
				t.Errorf("got %d rules, want %d", n, len(want))
			}
		})
	}
}

func TestRulesReportsAllAtOnce(t *testing.T) {
	_, err := ruleKey().read([]any{
		map[string]any{"match": "a", "keep": "yes", "ttl": "5"},
		"b",
		map[string]any{"mtch": "c"},
	})
	var got itemErrors
	errors.As(err, &got)
	want := itemErrors{
		`[0].keep: "yes" is not allowed, want true or false`,
		`[0].ttl: "5" is not allowed, want a duration such as 500ms, 30s or 2m`,
		`[1]: "b" is not allowed, want keys and values`,
		`[2].mtch: unknown key, want one of match, keep, most_bytes, ttl`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestRulesRefusesOtherShapes(t *testing.T) {
	for name, raw := range map[string]any{
		"text":    "a",
		"number":  "1",
		"mapping": map[string]any{"match": "a"},
		"nothing": nil,
	} {
		if got, err := ruleKey().read(raw); err == nil {
			t.Errorf("%s is read as %v", name, got)
		}
	}
}
