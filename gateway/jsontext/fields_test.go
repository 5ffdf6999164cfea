package jsontext

import (
	"encoding/json"
	"maps"
	"testing"
)

// Fields reads what encoding/json reads.
func FuzzFields(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":"b","c":{"d":[1,{"e":"}"}]},"f":null}`, "{\"a\" :\t1 ,\n\"b\" : [ ] , \"c\":\"\" }",
		`{"a\"b":"\\","c":"\"}"}`, `{"a":"\\\"","b":-1.5e3 }`, `[1,2]`, `"a"`, `1`, `null`, `{"a":{"b":"{"},"c":"["}`, `{"a":true,"b":"x" ,"c":[[]]}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		var want map[string]json.RawMessage
		json.Unmarshal([]byte(text), &want)
		got := make(map[string]json.RawMessage)
		for key, value := range Fields([]byte(text)) {
			var name string
			if err := json.Unmarshal([]byte(`"`+string(key)+`"`), &name); err != nil {
				t.Fatalf("%q: a key %q", text, key)
			}
			got[name] = json.RawMessage(value)
		}
		if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	})
}
