package http1

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAppendResponse(t *testing.T) {
	cases := map[string]struct {
		got  []byte
		want string
	}{
		"json": {
			AppendResponse(nil, 200, []byte(`{"a":1}`), Options{}),
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\n{\"a\":1}",
		},
		"after other bytes": {
			AppendResponse([]byte("x"), 404, nil, Options{Close: true, ContentType: "text/plain"}),
			"xHTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		},
		"no content": {
			AppendResponse(nil, 204, []byte("dropped"), Options{Lines: []byte("Poll-Cursor: c\r\n")}),
			"HTTP/1.1 204 No Content\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nPoll-Cursor: c\r\nConnection: keep-alive\r\n\r\n",
		},
		"for any page": {
			AppendResponse(nil, 204, nil, Options{AllowOrigin: AnyOrigin}),
			"HTTP/1.1 204 No Content\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: *\r\n" +
				"Access-Control-Expose-Headers: Poll-Cursor, Retry-After\r\nConnection: keep-alive\r\n\r\n",
		},
		"for one page": {
			AppendResponse(nil, 204, nil, Options{AllowOrigin: "https://a"}),
			"HTTP/1.1 204 No Content\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: https://a\r\n" +
				"Access-Control-Allow-Credentials: true\r\nVary: Origin\r\nAccess-Control-Expose-Headers: Poll-Cursor, Retry-After\r\nConnection: keep-alive\r\n\r\n",
		},
		"answer to HEAD": {
			AppendResponse(nil, 200, []byte("four"), Options{NoBody: true, Date: []byte("Thu, 01 Jan 1970 00:00:00 GMT")}),
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nConnection: keep-alive\r\n\r\n",
		},
		"stream": {
			AppendStream(nil, 200, Options{ContentType: "text/event-stream"}),
			"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		},
		"error": {
			errTLS.Append(nil, Options{ContentType: "text/event-stream"}),
			"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 106\r\nCache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" +
				`{"error":{"code":"tls_on_plain_port","message":"this port speaks plain HTTP, but the client started TLS"}}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if string(c.got) != c.want {
				t.Errorf("\n got %q\nwant %q", c.got, c.want)
			}
		})
	}
}

// TestAppendErrorText reads errors back with net/http and encoding/json.
func TestAppendErrorText(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":     {"not allowed", "not allowed"},
		"empty":     {"", ""},
		"quotes":    {`a "b" \c`, `a "b" \c`},
		"controls":  {"a\r\n\t\x00\x1f\x7f", "a\r\n\t\x00\x1f\x7f"},
		"page":      {"</script>", "</script>"},
		"UTF-8":     {"grün 🙂 \u2028", "grün 🙂 \u2028"},
		"not UTF-8": {"a\xffb", "a\ufffdb"},
		"long":      {strings.Repeat("long ", 1000), strings.Repeat("long ", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			out := AppendError(nil, 403, c.text, c.text, Options{})
			resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 403 || int64(len(body)) != resp.ContentLength {
				t.Fatalf("status %d, %d of %d bytes, %v", resp.StatusCode, len(body), resp.ContentLength, err)
			}
			if !bytes.HasSuffix(out, body) || bytes.Contains(body, []byte("<")) {
				t.Errorf("body %q of %q", body, out)
			}
			var got struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			if got.Error.Code != c.want || got.Error.Message != c.want {
				t.Errorf("%q, want %q", got.Error, c.want)
			}
		})
	}
}

// TestErrors sends every error as a response: each needs a status that
// net/http knows and a text of its own.
func TestErrors(t *testing.T) {
	seen := map[string]string{}
	for name, c := range refused {
		var r Request
		_, err := r.Parse([]byte(c.bytes), testHead)
		e := err.(*Error)
		out := e.Append(nil, Options{})
		resp, rerr := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if rerr != nil || resp.StatusCode != e.Status || !resp.Close || http.StatusText(e.Status) == "" {
			t.Errorf("%s: %q, %v", name, out, rerr)
		}
		if code, ok := seen[e.Message]; ok && code != e.Code {
			t.Errorf("%q has codes %s and %s", e.Message, code, e.Code)
		}
		seen[e.Message] = e.Code
	}
}

func TestAppendDate(t *testing.T) {
	at := time.Date(1994, 11, 6, 9, 49, 37, 0, time.FixedZone("", 3600))
	if got := string(AppendDate(nil, at)); got != "Sun, 06 Nov 1994 08:49:37 GMT" {
		t.Error(got)
	}
}
