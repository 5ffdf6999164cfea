package jsontext

import (
	"encoding/json"
	"strings"
	"testing"
)

type object struct {
	Name  string          `json:"name"`
	Names []string        `json:"names"`
	Wait  *float64        `json:"wait"`
	Max   *int            `json:"max"`
	Keep  *bool           `json:"keep"`
	Raw   json.RawMessage `json:"raw"`
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"a","names":["b"],"wait":1.5,"max":2,"keep":true,"raw":[1]}`: "",
		` {} `:            "",
		``:                "it is empty",
		`{"name":`:        "it ends too early",
		`{"name":x}`:      "invalid character 'x' looking for beginning of value",
		`[]`:              "it is to be an object, not an array",
		`7`:               "it is to be an object, not such a number",
		`{"name":7}`:      "name is to be a string, not such a number",
		`{"name":null}`:   "",
		`{"names":"a,b"}`: "names is to be an array, not a string",
		`{"names":[{}]}`:  "names is to be a string, not an object",
		`{"wait":"1"}`:    "wait is to be a number, not a string",
		`{"max":1.5}`:     "max is to be a whole number, not such a number",
		`{"keep":"yes"}`:  "keep is to be true or false, not a string",
		`{"chanels":[]}`:  `unknown field "chanels"`,
		`{} {}`:           "more follows behind it",
		`{} x`:            "more follows behind it",
	} {
		got := ""
		if err := Decode([]byte(text), new(object)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Whatever the text, nothing of Go's shows.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"name":7}`, `{"names":[[]]}`, `{"max":1e99}`, `[`, `{"wait":{}}`, `"\ud800`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := Decode([]byte(text), new(object))
		if err != nil && (strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "json:")) && !strings.Contains(text, "Go ") && !strings.Contains(text, "json:") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
