package http1

import (
	"fmt"
	"strings"
	"testing"
)

func collect(q *Query) string {
	var b strings.Builder
	for {
		name, value, ok := q.Next()
		if !ok {
			return b.String()
		}
		fmt.Fprintf(&b, "[%s=%s]", name, value)
	}
}

func TestQuery(t *testing.T) {
	cases := map[string]struct {
		in, want string
		err      error
	}{
		"empty":              {"", "", nil},
		"plain":              {"channels=a,b&wait=25", "[channels=a,b][wait=25]", nil},
		"no value":           {"a&b=&=c&=", "[a=][b=][=c][=]", nil},
		"empty pairs":        {"&&a=1&&", "[a=1]", nil},
		"second equals":      {"a=b=c", "[a=b=c]", nil},
		"escapes":            {"a%3d=%26%2B%c3%BC%00", "[a==&+ü\x00]", nil},
		"plus":               {"a+b=c+d", "[a b=c d]", nil},
		"escaped is literal": {"a=%2525", "[a=%25]", nil},
		"repeated":           {"a=1&a=2", "[a=1][a=2]", nil},
		"bad escape":         {"a=1&b=%4&c=2", "[a=1]", errQueryEscape},
		"bad escape in name": {"a=1&%zz=1", "[a=1]", errQueryEscape},
		"percent last":       {"a=%", "", errQueryEscape},
		"semicolon":          {"a=1&b;c=1", "[a=1]", errQuerySemicolon},
		"semicolon escaped":  {"a=%3b", "[a=;]", nil},
		"as many as allowed": {strings.Repeat("a&", MaxParameters), strings.Repeat("[a=]", MaxParameters), nil},
		"too many":           {strings.Repeat("a&", MaxParameters+1), strings.Repeat("[a=]", MaxParameters), errQueryCount},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, scratch := range [][]byte{nil, make([]byte, 0, 2), make([]byte, 3), make([]byte, 0, 1024)} {
				r := Request{RawQuery: []byte(c.in)}
				q := r.Query(scratch)
				if got := collect(&q); got != c.want || q.Err() != c.err {
					t.Errorf("scratch %d: %s, %v; want %s, %v", cap(scratch), got, q.Err(), c.want, c.err)
				}
				if string(r.RawQuery) != c.in {
					t.Errorf("the query was changed to %q", r.RawQuery)
				}
			}
		})
	}
}

func TestQueryGet(t *testing.T) {
	r := Request{RawQuery: []byte("a=1&%62=%32&c=x+y&a=3&bad=%4")}
	for _, size := range []int{0, 4, 1024} {
		q := r.Query(make([]byte, 0, size))
		values := map[string][]byte{}
		for _, name := range []string{"c", "b", "a"} {
			v, ok := q.Get(name)
			if !ok || q.Err() != nil {
				t.Fatalf("%s: ok = %v, err = %v", name, ok, q.Err())
			}
			values[name] = v
		}
		if got := fmt.Sprintf("%s", values); got != "map[a:1 b:2 c:x y]" {
			t.Errorf("scratch %d: %s", size, got)
		}
		if v, ok := q.Get("absent"); ok || v != nil || q.Err() != nil {
			t.Errorf("absent: %q, %v, %v", v, ok, q.Err())
		}
		if v, ok := q.Get("bad"); ok || q.Err() != errQueryEscape {
			t.Errorf("bad: %q, %v, %v", v, ok, q.Err())
		}
	}
}

func TestQueryInt(t *testing.T) {
	cases := map[string]struct {
		in   string
		want int64
		ok   bool
	}{
		"absent":   {"", 25, true},
		"lowest":   {"wait=0", 0, true},
		"highest":  {"wait=55", 55, true},
		"above":    {"wait=56", 0, false},
		"negative": {"wait=-1", 0, false},
		"plus":     {"wait=+1", 0, false},
		"empty":    {"wait=", 0, false},
		"fraction": {"wait=1.5", 0, false},
		"overflow": {"wait=18446744073709551617", 0, false},
		"first":    {"wait=1&wait=x", 1, true},
		"broken":   {"%&wait=1", 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := Request{RawQuery: []byte(c.in)}
			q := r.Query(nil)
			got, err := q.Int("wait", 25, 0, 55)
			if got != c.want || (err == nil) != c.ok {
				t.Fatalf("%d, %v; want %d, ok %v", got, err, c.want, c.ok)
			}
			if e, isError := err.(*Error); err != nil && (!isError || e.Status != 400 || e.Code != CodeQuery) {
				t.Errorf("err = %#v", err)
			}
		})
	}
	r := Request{RawQuery: []byte("wait=x")}
	q := r.Query(nil)
	if _, err := q.Int("wait", 25, 0, 55); err.Error() != "parameter wait must be a number from 0 to 55" {
		t.Error(err)
	}
}
