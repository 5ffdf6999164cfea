package http1

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// show names what a request says, in one line, so that tables stay readable.
func show(r *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s?%s 1.%d host=%s length=%d", r.Method, r.Path, r.RawQuery, r.Minor, r.Host, r.ContentLength)
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"chunked", r.Chunked}, {"expect", r.Expect100}, {"keep", r.KeepAlive()}, {"upgrade", r.Upgrade()},
	} {
		if f.set {
			b.WriteString(" " + f.name)
		}
	}
	return b.String()
}

func TestParse(t *testing.T) {
	want := map[string]string{
		"browser handshake":            "GET /v1/ws?channels=news,user.4711&cursor=1732345678901-0 1.1 host=push.example.com length=-1 keep upgrade",
		"poll":                         "GET /v1/poll?channels=news&wait=25&cursor=c1.bm9kZS0x.MTczMjM0NTY3ODkwMS0w 1.1 host=push.example.com length=-1 keep",
		"smallest 1.1":                 "GET /? 1.1 host=a length=-1 keep",
		"smallest 1.0":                 "GET /? 1.0 host= length=-1",
		"1.0 with host":                "GET /? 1.0 host=a length=-1 keep",
		"1.0 close":                    "GET /? 1.0 host=a length=-1",
		"asterisk":                     "OPTIONS *? 1.1 host=a length=-1 keep",
		"empty line first":             "GET /? 1.1 host=a length=-1 keep",
		"length":                       "POST /v1/poll? 1.1 host=a length=12 keep",
		"length zero":                  "POST /v1/poll? 1.1 host=a length=0 keep",
		"chunked":                      "POST /v1/poll? 1.1 host=a length=-1 chunked keep",
		"chunked, extension, trailer":  "POST /v1/poll? 1.1 host=a length=-1 chunked keep",
		"expect":                       "POST /? 1.1 host=a length=2 expect keep",
		"absolute":                     "GET /v1/sse?channels=a 1.1 host=example.com:8080 length=-1 keep",
		"absolute, upper case":         "GET /x? 1.1 host=Example.com length=-1 keep",
		"absolute without path":        "GET /? 1.1 host=example.com length=-1 keep",
		"absolute, query without path": "GET /?a=b 1.1 host=example.com length=-1 keep",
		"absolute 1.0 without host":    "GET /? 1.0 host=example.com length=-1",
		"absolute, address":            "GET /? 1.1 host=[2001:db8::1]:80 length=-1 keep",
		"host address":                 "GET /? 1.1 host=127.0.0.1:8080 length=-1 keep",
		"host mapped address":          "GET /? 1.1 host=[::ffff:1.2.3.4] length=-1 keep",
		"host port empty":              "GET /? 1.1 host=a: length=-1 keep",
		"escapes in path":              "GET /v1/%77s%2F%00?%zz 1.1 host=a length=-1 keep",
		"browser bytes in query":       "GET /v1/ws?a={\"b\":[1|2^3`4\\5]} 1.1 host=a length=-1 keep",
		"two slashes":                  "GET //v1//ws? 1.1 host=a length=-1 keep",
		"question marks":               "GET /?? 1.1 host=a length=-1 keep",
		"empty query":                  "GET /? 1.1 host=a length=-1 keep",
		"strange method":               "M-SEARCH! /? 1.1 host=a length=-1 keep",
		"space around values":          "GET /? 1.1 host=a length=-1 keep",
		"obs-text":                     "GET /? 1.1 host=a length=-1 keep",
		"tab in a long value":          "GET /? 1.1 host=a length=-1 keep",
		"close":                        "GET /? 1.1 host=a length=-1",
		"other upgrade":                "GET /? 1.1 host=a length=-1 keep",
		"upgrade without body":         "GET /? 1.1 host=a length=0 keep upgrade",
		"upgrade not in Connection":    "GET /? 1.1 host=a length=1 keep",
		"pipelined":                    "GET /1? 1.1 host=a length=-1 keep",
		"case of names":                "GET /? 1.1 host=a length=1 keep",
		"as many lines as allowed":     "GET /? 1.1 host=a length=-1 keep",
		"look-alikes":                  "GET /? 1.1 host=a length=-1 keep",
	}
	for name, in := range accepted {
		t.Run(name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(in), testHead)
			if err != nil || n == 0 {
				t.Fatalf("n = %d, err = %v", n, err)
			}
			if got := show(&r); got != want[name] {
				t.Errorf("\n got %s\nwant %s", got, want[name])
			}
			end := strings.Index(in[2:], "\r\n\r\n") + 2 + 4
			if n != end {
				t.Errorf("n = %d, want %d", n, end)
			}
			if head := strings.TrimPrefix(in[:end], "\r\n"); string(r.Head) != head {
				t.Errorf("Head = %q, want %q", r.Head, head)
			}
			compare(t, []byte(in))
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, want := range refused {
		t.Run(name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(want.bytes), testHead)
			e, ok := err.(*Error)
			if !ok || n != 0 {
				t.Fatalf("n = %d, err = %v; want an *Error\n%s", n, err, show(&r))
			}
			if e.Status != want.status || e.Code != want.code {
				t.Errorf("%d %s (%s), want %d %s", e.Status, e.Code, e.Message, want.status, want.code)
			}
		})
	}
}

// TestParsePortions feeds every sample byte by byte: the verdict must come out
// the same, and no prefix of a good head may be refused.
func TestParsePortions(t *testing.T) {
	samples := map[string]string{}
	for name, in := range accepted {
		samples[name] = in
	}
	for name, in := range refused {
		samples[name] = in.bytes
	}
	for name, in := range samples {
		t.Run(name, func(t *testing.T) { portions(t, []byte(in)) })
	}
}

// portions checks that all prefixes of in agree with the whole.
func portions(t *testing.T, in []byte) {
	t.Helper()
	var whole, part Request
	n, err := whole.Parse(in, testHead)
	for i := range in {
		pn, perr := part.Parse(in[:i:i], testHead)
		switch {
		case perr != nil && perr != err:
			t.Fatalf("%d bytes: %v; all: %v", i, perr, err)
		case perr == nil && pn != 0 && (pn != n || i < n || show(&part) != show(&whole)):
			t.Fatalf("%d bytes: n = %d, %s\nall: n = %d, %s", i, pn, show(&part), n, show(&whole))
		case perr == nil && pn == 0 && n != 0 && i >= n:
			t.Fatalf("%d bytes: incomplete; all: n = %d", i, n)
		}
	}
}

func TestHeadLimit(t *testing.T) {
	in := []byte(browserHandshake)
	cases := map[string]struct {
		max, n int
		want   error
	}{
		"exact":               {len(in), len(in), nil},
		"one byte short":      {len(in) - 1, 0, errHeadSize},
		"within request line": {20, 0, errTargetSize},
		"zero":                {0, 0, errTargetSize},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var r Request
			if n, err := r.Parse(in, c.max); n != c.n || err != c.want {
				t.Errorf("n = %d, err = %v; want %d, %v", n, err, c.n, c.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	in := lines("GET / HTTP/1.1", "Host: a", "origin: http://x", "AUTHORIZATION: bearer  abc ", "Content-Type: application/json",
		"Last-Event-ID:", "X-Forwarded-For: 10.0.0.1", "x-forwarded-for: 10.0.0.2", "Empty:")
	var r Request
	if _, err := r.Parse([]byte(in), testHead); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"Origin":        {r.Origin, "http://x"},
		"Authorization": {r.Authorization, "bearer  abc"},
		"Bearer":        {r.Bearer(), "abc"},
		"ContentType":   {r.ContentType, "application/json"},
		"LastEventID":   {r.LastEventID, ""},
		"first":         {r.Header("X-FORWARDED-for"), "10.0.0.1"},
		"empty":         {r.Header("empty"), ""},
	} {
		if c.got == nil || string(c.got) != c.want {
			t.Errorf("%s = %q, want %q", name, c.got, c.want)
		}
	}
	if got := r.Header("Absent"); got != nil {
		t.Errorf("absent header = %q", got)
	}
	var all []string
	for f := r.Fields(); ; {
		name, value, ok := f.Next()
		if !ok {
			break
		}
		all = append(all, string(name)+"="+string(value))
	}
	want := "Host=a|origin=http://x|AUTHORIZATION=bearer  abc|Content-Type=application/json|Last-Event-ID=|X-Forwarded-For=10.0.0.1|x-forwarded-for=10.0.0.2|Empty="
	if got := strings.Join(all, "|"); got != want {
		t.Errorf("fields\n got %s\nwant %s", got, want)
	}
}

func TestPeek(t *testing.T) {
	for name, tc := range map[string]struct {
		head string
		want string // "-" for none
	}{
		"whole":           {"GET / HTTP/1.1\r\nHost: a\r\noRIGIN:  https://a \r\n\r\n", "https://a"},
		"amid the head":   {"GET / HTTP/1.1\r\nOrigin: https://a\r\nX", "https://a"},
		"bare LF":         {"GET /\nOrigin: https://a\nX", "https://a"},
		"after bad lines": {"\x00\r\n\x00 : \r\nb\r\nOrigin: https://a\r\n", "https://a"},
		"empty":           {"GET / HTTP/1.1\r\nOrigin:\r\n", ""},
		"not whole":       {"GET / HTTP/1.1\r\nOrigin: https://a", "-"},
		"twice":           {"GET / HTTP/1.1\r\nOrigin: a\r\nOrigin: b\r\n\r\n", "-"},
		"in the body":     {"POST / HTTP/1.1\r\n\r\nOrigin: a\r\n", "-"},
		"in the line":     {"Origin: a\r\n", "-"},
		"other name":      {"GET / HTTP/1.1\r\nOrigins: a\r\nXOrigin: a\r\nOrigin : a\r\n", "-"},
		"bad value":       {"GET / HTTP/1.1\r\nOrigin: a\rX: b\r\n", "-"},
		"nothing":         {"", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			got := "-"
			if v := Peek([]byte(tc.head), "Origin"); v != nil {
				got = string(v)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBearer(t *testing.T) {
	for value, want := range map[string]string{
		"Bearer x": "x", "BEARER x.y": "x.y", "Basic x": "", "Bearer": "", "Bearerx": "", "": "",
	} {
		r := Request{Authorization: []byte(value)}
		if got := string(r.Bearer()); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// TestReuse parses a bare request after a rich one: nothing may be left over.
func TestReuse(t *testing.T) {
	var r, fresh Request
	rich := lines("POST http://h/p?q HTTP/1.1", "Host: a", "Origin: o", "Authorization: x", "Content-Type: c", "Last-Event-ID: 1",
		"Content-Length: 7", "Expect: 100-continue", "Connection: close, upgrade", "Upgrade: foo, bar")
	bare := []byte(lines("GET / HTTP/1.0"))
	if _, err := r.Parse([]byte(rich), testHead); err != nil {
		t.Fatal(err)
	}
	r.Parse(bare, testHead)
	fresh.Parse(bare, testHead)
	if !reflect.DeepEqual(r, fresh) {
		t.Errorf("\n got %+v\nwant %+v", r, fresh)
	}
}

// TestHeadUpgrades gives Head to the upgrader that the gateway uses.
func TestHeadUpgrades(t *testing.T) {
	for name, in := range map[string]string{
		"browser":          browserHandshake,
		"empty line first": "\r\n" + browserHandshake,
	} {
		t.Run(name, func(t *testing.T) {
			var r Request
			if _, err := r.Parse([]byte(in), testHead); err != nil || !r.Upgrade() {
				t.Fatalf("err = %v, upgrade = %v", err, r.Upgrade())
			}
			var out bytes.Buffer
			conn := struct {
				io.Reader
				io.Writer
			}{bytes.NewReader(r.Head), &out}
			var uri string
			u := ws.Upgrader{OnRequest: func(b []byte) error { uri = string(b); return nil }}
			if _, err := u.Upgrade(conn); err != nil {
				t.Fatal(err)
			}
			if want := string(r.Path) + "?" + string(r.RawQuery); uri != want {
				t.Errorf("uri = %q, want %q", uri, want)
			}
			if !bytes.HasPrefix(out.Bytes(), []byte("HTTP/1.1 101 ")) || !bytes.Contains(out.Bytes(), []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
				t.Errorf("answer %q", out.Bytes())
			}
		})
	}
}
