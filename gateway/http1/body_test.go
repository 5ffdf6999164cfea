package http1

import (
	"strings"
	"testing"
)

var chunkedBodies = map[string]struct {
	in   string
	data string
	rest string
	done bool
	err  error
}{
	"empty":                 {"0\r\n\r\n", "", "", true, nil},
	"one":                   {"5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET", true, nil},
	"two":                   {"5\r\nhello\r\n00A\r\n, world!!!\r\n0\r\n\r\n", "hello, world!!!", "", true, nil},
	"data looks like chunk": {"7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n\r\n", "", true, nil},
	"extensions":            {"1;a\r\nx\r\n1;a=b;c=\"d e\"\r\ny\r\n0;z\r\n\r\n", "xy", "", true, nil},
	"trailers":              {"1\r\nx\r\n0\r\nA: b\r\nC:\r\nContent-Length: 5\r\n\r\nrest", "x", "rest", true, nil},
	"not at the end":        {"5\r\nhel", "hel", "", false, nil},
	"before the last LF":    {"0\r\n\r", "", "", false, nil},

	"no size":               {"\r\nhello", "", "", false, errChunk},
	"empty size, extension": {";a\r\n", "", "", false, errChunk},
	"size with sign":        {"+5\r\n", "", "", false, errChunk},
	"size with prefix":      {"0x5\r\nhello", "", "", false, errChunk},
	"size not hex":          {"5g\r\n", "", "", false, errChunk},
	"space before size":     {" 5\r\nhello", "", "", false, errChunk},
	"space after size":      {"5 \r\nhello", "", "", false, errChunk},
	"too many digits":       {"000000005\r\nhello", "", "", false, errChunk},
	"LF after size":         {"5\nhello", "", "", false, errChunk},
	"CR in extension":       {"5;a\rb\r\nhello", "", "", false, errChunk},
	"LF in extension":       {"5;a\nhello\r\n", "", "", false, errChunk},
	"data too long":         {"5\r\nhelloo\r\n0\r\n\r\n", "hello", "", false, errChunk},
	"LF after data":         {"5\r\nhello\n0\r\n\r\n", "hello", "", false, errChunk},
	"CR after data alone":   {"5\r\nhello\r0\r\n\r\n", "hello", "", false, errChunk},
	"LF at the end":         {"0\r\n\n", "", "", false, errChunk},
	"CR at the end":         {"0\r\n\rG", "", "", false, errChunk},
	"trailer without name":  {"0\r\n: a\r\n\r\n", "", "", false, errChunk},
	"trailer without colon": {"0\r\nabc\r\n\r\n", "", "", false, errChunk},
	"trailer with space":    {"0\r\na : b\r\n\r\n", "", "", false, errChunk},
	"trailer folded":        {"0\r\na: b\r\n c\r\n\r\n", "", "", false, errChunk},
	"trailer LF":            {"0\r\na: b\n\r\n", "", "", false, errChunk},
	"trailer NUL":           {"0\r\na: \x00\r\n\r\n", "", "", false, errChunk},

	"limit in one":        {"65\r\n", "", "", false, errBodySize},
	"limit, largest size": {"ffffffff\r\n", "", "", false, errBodySize},
	"limit in two":        {"60\r\n" + strings.Repeat("x", 96) + "\r\n5\r\nhello", strings.Repeat("x", 96), "", false, errBodySize},
	"just within limit":   {"64\r\n" + strings.Repeat("x", 100) + "\r\n0\r\n\r\n", strings.Repeat("x", 100), "", true, nil},
	"long extension":      {"1;" + strings.Repeat("x", maxSpare+1), "", "", false, errChunkSpare},
	"long trailer":        {"0\r\na:" + strings.Repeat("x", maxSpare), "", "", false, errChunkSpare},
	"spare is shared":     {"1;" + strings.Repeat("x", maxSpare/2) + "\r\nd\r\n0\r\na:" + strings.Repeat("x", maxSpare/2), "d", "", false, errChunkSpare},
}

func TestChunked(t *testing.T) {
	for name, c := range chunkedBodies {
		for _, portion := range []int{1, 2, 3, 7, 1 << 20} {
			r := Request{Chunked: true, ContentLength: -1}
			b, err := r.Body(100)
			if err != nil {
				t.Fatal(err)
			}
			data, n, done, err := drain(&b, []byte(c.in), portion)
			if string(data) != c.data || done != c.done || err != c.err || b.Done() != c.done {
				t.Errorf("%s by %d: data %q, done %v, err %v; want %q, %v, %v", name, portion, data, done, err, c.data, c.done, c.err)
			}
			if rest := c.in[n:]; err == nil && rest != c.rest {
				t.Errorf("%s by %d: rest %q, want %q", name, portion, rest, c.rest)
			}
		}
	}
}

func TestBodyLength(t *testing.T) {
	cases := map[string]struct {
		length int64
		in     string
		data   string
		n      int
		done   bool
	}{
		"none":   {-1, "GET", "", 0, true},
		"zero":   {0, "GET", "", 0, true},
		"part":   {5, "hel", "hel", 3, false},
		"whole":  {5, "hello", "hello", 5, true},
		"beyond": {5, "helloGET", "hello", 5, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := Request{ContentLength: c.length}
			for _, portion := range []int{1, 2, 100} {
				b, err := r.Body(5)
				if err != nil {
					t.Fatal(err)
				}
				data, n, done, err := drain(&b, []byte(c.in), portion)
				if string(data) != c.data || n != c.n || done != c.done || err != nil {
					t.Errorf("by %d: %q, %d, %v, %v; want %q, %d, %v", portion, data, n, done, err, c.data, c.n, c.done)
				}
			}
		})
	}
	r := Request{ContentLength: 6}
	if _, err := r.Body(5); err != errBodySize {
		t.Errorf("over the limit: %v", err)
	}
}

// TestBodyAfterError makes sure that a failed body can't be read on.
func TestBodyAfterError(t *testing.T) {
	r := Request{Chunked: true, ContentLength: -1}
	b, _ := r.Body(100)
	if _, _, _, err := b.Next([]byte("x")); err != errChunk {
		t.Fatal(err)
	}
	if data, n, done, err := b.Next([]byte("0\r\n\r\n")); data != nil || n != 0 || done || err == nil {
		t.Errorf("after an error: %q, %d, %v, %v", data, n, done, err)
	}
}
