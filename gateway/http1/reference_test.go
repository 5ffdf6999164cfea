package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const testBody = 1 << 20

// compare checks the reader against net/http on the same bytes: what is
// accepted here must be accepted there and mean the same, down to the byte
// where the next request starts; and where more bytes are wanted here, the
// request must not be complete there.
//
// The allowed differences, all of them on the strict side or of form, are:
//   - an empty line before the request line is skipped here and an error
//     there, so it is cut off before the comparison;
//   - the path of "http://host" is "/" here and empty there;
//   - net/http takes the end of the input for the end of a line, so that a
//     request may be complete there whose last LF has not arrived;
//   - refused here, accepted there: bare LF, folded lines, empty or otherwise
//     invalid hosts and HTTP/1.1 without one, versions 1.2 to 1.9, methods
//     over 32 bytes, CONNECT, the asterisk, schemes other than http and
//     https, '#' and bytes over 0x7e in the target, equal Content-Lengths,
//     leading zeros of one, Content-Length beside Transfer-Encoding,
//     Transfer-Encoding in HTTP/1.0 (ignored there), other expectations,
//     malformed Connection and Upgrade, repeated single headers, a WebSocket
//     handshake with a body, more than 100 header lines, more than 64
//     list elements, large chunk extensions and trailers.
func compare(t *testing.T, in []byte) {
	t.Helper()
	var r Request
	n, err := r.Parse(in, testHead)
	if err != nil {
		return
	}
	in = bytes.TrimPrefix(in, []byte("\r\n"))
	rest := bufio.NewReader(bytes.NewReader(in))
	ref, refErr := http.ReadRequest(rest)
	if n == 0 {
		if refErr == nil && bytes.HasSuffix(in, []byte("\n")) && !openBody(ref) {
			t.Fatalf("incomplete here, complete in net/http: %q", in)
		}
		return
	}
	if refErr != nil {
		t.Fatalf("accepted here, refused by net/http: %v", refErr)
	}
	compareHead(t, &r, ref)

	body, bodyErr := r.Body(testBody)
	if bodyErr != nil {
		return
	}
	got, n, done, bodyErr := drain(&body, in[len(r.Head):], testBody)
	if bodyErr != nil {
		return
	}
	want, refErr := io.ReadAll(ref.Body)
	if !done {
		if refErr == nil {
			t.Fatalf("body incomplete here, complete in net/http: %q", want)
		}
		return
	}
	if refErr != nil {
		t.Fatalf("body accepted here, refused by net/http: %v", refErr)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("body %q, net/http %q", got, want)
	}
	after, _ := io.ReadAll(rest)
	if here := in[len(r.Head)+n:]; !bytes.Equal(here, after) {
		t.Fatalf("next request starts with %q, in net/http with %q", here, after)
	}
}

// openBody reports whether a request that net/http takes for complete has a
// body that is not.
func openBody(ref *http.Request) bool {
	_, err := io.ReadAll(ref.Body)
	return err != nil
}

func compareHead(t *testing.T, r *Request, ref *http.Request) {
	t.Helper()
	check := func(what, got, want string) {
		if got != want {
			t.Fatalf("%s %q, net/http %q", what, got, want)
		}
	}
	check("method", string(r.Method), ref.Method)
	check("query", string(r.RawQuery), ref.URL.RawQuery)
	check("host", string(r.Host), ref.Host)
	path, err := url.PathUnescape(string(r.Path))
	if err != nil {
		t.Fatalf("path %q: %v", r.Path, err)
	}
	if ref.URL.Path == "" && ref.URL.Host != "" {
		ref.URL.Path = "/"
	}
	check("path", path, ref.URL.Path)
	if int(r.Minor) != ref.ProtoMinor || ref.ProtoMajor != 1 {
		t.Fatalf("version 1.%d, net/http %s", r.Minor, ref.Proto)
	}
	length := r.ContentLength
	if length < 0 && !r.Chunked {
		length = 0
	}
	if length != ref.ContentLength {
		t.Fatalf("length %d, net/http %d", length, ref.ContentLength)
	}
	if r.Chunked != (len(ref.TransferEncoding) == 1) {
		t.Fatalf("chunked %v, net/http %q", r.Chunked, ref.TransferEncoding)
	}
	if r.KeepAlive() && ref.Close {
		t.Fatal("kept alive here, closed by net/http")
	}
	fields := http.Header{}
	for f := r.Fields(); ; {
		name, value, ok := f.Next()
		if !ok {
			break
		}
		fields.Add(string(name), string(value))
	}
	if fields.Get("Pragma") == "no-cache" && fields["Cache-Control"] == nil {
		fields.Set("Cache-Control", "no-cache") // net/http adds it
	}
	for name, want := range ref.Header {
		check("header "+name, strings.Join(fields[name], "|"), strings.Join(want, "|"))
	}
	for name, got := range map[string][]byte{
		"Origin": r.Origin, "Authorization": r.Authorization, "Content-Type": r.ContentType, "Last-Event-Id": r.LastEventID,
		"Sec-Websocket-Protocol": r.Subprotocols,
	} {
		check("captured "+name, string(got), ref.Header.Get(name))
	}
}

// drain decodes in as a loop would when it arrives in portions of the given
// size, and returns the data, the bytes consumed and how it ended.
func drain(b *Body, in []byte, portion int) (data []byte, n int, done bool, err error) {
	for at := 0; ; {
		end := min(at+portion, len(in))
		for {
			piece, size, done, err := b.Next(in[at:end])
			data = append(data, piece...)
			at += size
			if done || err != nil {
				return data, at, done, err
			}
			if at == end {
				break
			}
		}
		if at == len(in) {
			return data, at, false, nil
		}
	}
}
