package http1

import "bytes"

// Request is one request head. The zero value is ready for Parse, and one
// Request can be used for any number of heads, one after the other: a shard
// needs one, not one a connection.
//
// All slices point into the buffer given to Parse. A captured header that was
// not sent is nil; one that was sent without a value is empty but not nil.
type Request struct {
	// Head is the request line and the header lines with the final empty
	// line, without an empty line before the request line.
	Head []byte
	// Method is a token, in the client's spelling.
	Method []byte
	// Path is the path as sent, still percent-encoded; it starts with a slash
	// (one outside the buffer for an absolute target without a path), unless it
	// is the asterisk of OPTIONS.
	Path []byte
	// RawQuery is what follows the question mark, unchecked; see Query.
	RawQuery []byte
	// Minor is the minor version: 0 or 1.
	Minor uint8

	// Host is the authority of an absolute target, else the Host header. It
	// is nil only for HTTP/1.0.
	Host []byte
	// Each of these headers is refused when sent twice.
	Origin        []byte
	Authorization []byte
	ContentType   []byte
	LastEventID   []byte
	// Subprotocols is the first Sec-WebSocket-Protocol; there may be more of
	// them.
	Subprotocols []byte

	// ContentLength is -1 without such a header.
	ContentLength int64
	// Chunked says that the body is in the chunked coding.
	Chunked bool
	// Expect100 says that the client waits for Continue before it sends the
	// body.
	Expect100 bool

	hostSeen  bool // a Host header was there
	close     bool // Connection: close
	keepAlive bool // Connection: keep-alive
	upgrade   bool // Connection: upgrade
	websocket bool // Upgrade: websocket
	elements  uint8
	fields    []byte // the header lines
}

// maxFields bounds the header lines. Browsers send about twenty; the bound
// keeps the cost of a head of tiny lines, and of Header on it, in proportion.
const maxFields = 100

// Parse reads the head of a request at the start of buf and returns its
// length, the empty line included. Length 0 without an error means that the
// head is incomplete: call again with all of it once more has arrived and it is
// Worth it. Parse starts over each time, so that nothing is kept for a connection; the
// dearest 8 KiB cost 8 us each time (BenchmarkByteByByte).
//
// A head longer than maxHead is refused as soon as that many bytes are there.
// The verdict depends on the bytes alone, not on the portions they came in.
// After an error the connection must be closed; the fields hold what had been
// read by then.
func (r *Request) Parse(buf []byte, maxHead int) (n int, err error) {
	*r = Request{ContentLength: -1}
	view := buf[:min(len(buf), maxHead)]

	// RFC 9112 2.2: one empty line before the request line is ignored, for
	// old clients send one after a body.
	start := 0
	if len(view) > 0 && view[0] == '\r' {
		if len(view) == 1 {
			return short(buf, maxHead, errTargetSize)
		}
		if view[1] == '\n' {
			start = 2
		}
	}
	if err := checkStart(view[start:]); err != nil {
		return 0, err
	}
	line, n, err := cutLine(view[start:])
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return short(buf, maxHead, errTargetSize)
	}
	if err := r.requestLine(line); err != nil {
		return 0, err
	}
	n += start
	fields := n
	for count := 0; ; count++ {
		line, size, err := cutLine(view[n:])
		if err != nil {
			return 0, err
		}
		if size == 0 {
			return short(buf, maxHead, errHeadSize)
		}
		if len(line) == 0 {
			r.fields = buf[fields:n]
			n += size
			break
		}
		if count == maxFields {
			return 0, errFieldCount
		}
		if err := r.field(line); err != nil {
			return 0, err
		}
		n += size
	}
	r.Head = buf[start:n]
	if err := r.finish(); err != nil {
		return 0, err
	}
	return n, nil
}

// short is the result for an incomplete head: more is needed, or tooLong when
// the limit is reached.
func short(buf []byte, maxHead int, tooLong *Error) (int, error) {
	if len(buf) >= maxHead {
		return 0, tooLong
	}
	return 0, nil
}

// cutLine returns the line at the start of p without its CR LF, and the bytes
// it takes; 0 when its end is not there yet.
func cutLine(p []byte) (line []byte, n int, err error) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		return nil, 0, nil
	}
	if i == 0 || p[i-1] != '\r' {
		return nil, 0, errBareLF
	}
	return p[:i-1], i + 1, nil
}

// KeepAlive reports whether the connection may carry another request after
// this one. Of HTTP/1.0 it may where the client asks for that (RFC 9112 9.3).
func (r *Request) KeepAlive() bool { return (r.Minor > 0 || r.keepAlive) && !r.close }

// Upgrade reports whether the client asks for WebSocket: Connection has the
// token upgrade and Upgrade the protocol websocket. The rest of the handshake
// is left to the upgrader, which takes Head.
func (r *Request) Upgrade() bool { return r.upgrade && r.websocket }

// HasBody reports whether bytes of a body follow the head.
func (r *Request) HasBody() bool { return r.Chunked || r.ContentLength > 0 }

// Bearer returns the token of an "Authorization: Bearer" header, else nil.
func (r *Request) Bearer() []byte {
	const scheme = "bearer "
	if len(r.Authorization) < len(scheme) || !equalFold(r.Authorization[:len(scheme)], scheme) {
		return nil
	}
	return trimSpace(r.Authorization[len(scheme):])
}
