package admin

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for name, test := range map[string]struct {
		body   string
		count  int // 0: refused
		single bool
		status int
	}{
		"one":                 {` {"channel":"a","data":1}`, 1, true, 0},
		"array":               {`[{"channel":"a","data":1},{"channel":"b","data":2}]`, 2, false, 0},
		"messages":            {`{"messages":[{"channel":"a","data":1}]}`, 1, false, 0},
		"anything inside":     {`[1,null,"x"]`, 3, false, 0},
		"the most":            {"[" + strings.Repeat("{},", maxBatch-1) + "{}]", maxBatch, false, 0},
		"one more":            {"[" + strings.Repeat("{},", maxBatch) + "{}]", 0, false, 413},
		"empty":               {"", 0, false, 400},
		"blank":               {" \n", 0, false, 400},
		"no message":          {"[]", 0, false, 400},
		"no messages":         {`{"messages":[]}`, 0, false, 400},
		"messages is null":    {`{"messages":null}`, 0, false, 400},
		"messages is no list": {`{"messages":{"channel":"a"}}`, 0, false, 400},
		"beside messages":     {`{"messages":[{}],"channel":"a"}`, 0, false, 400},
		"cut":                 {`{"channel":"a"`, 0, false, 400},
		"more than one":       {`{"channel":"a"}{"channel":"b"}`, 0, false, 400},
		"a form":              {"channel=a&data=1", 0, false, 400},
		"null":                {"null", 1, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			messages, single, err := split([]byte(test.body))
			if len(messages) != test.count && err == nil || single != test.single && err == nil {
				t.Fatalf("%d messages, single %v", len(messages), single)
			}
			var e *Error
			if errors.As(err, &e) != (test.status != 0) || e != nil && e.Status != test.status {
				t.Fatalf("got %v, want status %d", err, test.status)
			}
		})
	}
}

// Whatever is sent, it's refused or taken apart into whole JSON values.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{`{"channel":"a","data":1}`, `[{},{}]`, `{"messages":[1]}`, `{"messages":[],"messages":[2]}`, "[", "nul", `{"a":`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, single, err := split(body)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 {
				t.Fatalf("refused by %v", err)
			}
			return
		}
		if len(messages) == 0 || len(messages) > maxBatch || single && len(messages) != 1 {
			t.Fatalf("%d messages", len(messages))
		}
		for _, m := range messages {
			if !json.Valid(m) {
				t.Fatalf("%q is no JSON", m)
			}
		}
	})
}
