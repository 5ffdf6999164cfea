package message

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// A JSON string equals encoding/json's, and its length is known before.
func FuzzJSONText(f *testing.F) {
	all := make([]byte, 128)
	for i := range all {
		all[i] = byte(i)
	}
	for _, s := range []string{"", "x", string(all), "<b>&", "grüße", "\u2027\u2028\u2029\u202a", "\u2028", "a\u2029b\"", "€", "\u00e2\u0080\u00a8", "\U0001f600\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		got := string(appendJSONText([]byte("x"), []byte(s)))
		if got != "x"+strings.TrimSuffix(want.String(), "\n") {
			t.Errorf("%q becomes %s", s, got)
		}
		if n := jsonTextBytes(s); n != len(got)-1 {
			t.Errorf("%q has %d bytes, counted as %d", s, len(got)-1, n)
		}
	})
}
