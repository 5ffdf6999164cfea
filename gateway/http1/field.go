package http1

import "bytes"

// field reads one header line (RFC 9112 5). The headers the gateway needs are
// told apart by length first, so that an unknown one costs no comparison in
// most cases.
func (r *Request) field(line []byte) error {
	i := 0
	for i < len(line) && classes[line[i]]&isToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return fieldError(line, i)
	}
	name, value := line[:i], trimSpace(line[i+1:])
	if !validValue(value) {
		return errValue
	}
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			return r.host(value)
		}
	case len("origin"):
		if equalFold(name, "origin") {
			return once(&r.Origin, value)
		}
		if equalFold(name, "expect") {
			return r.expect(value)
		}
	case len("upgrade"):
		if equalFold(name, "upgrade") {
			return r.protocols(value)
		}
		if equalFold(name, "trailer") {
			return r.trailer(value)
		}
	case len("connection"):
		if equalFold(name, "connection") {
			return r.connection(value)
		}
	case len("content-type"):
		if equalFold(name, "content-type") {
			return once(&r.ContentType, value)
		}
	case len("authorization"):
		if equalFold(name, "authorization") {
			return once(&r.Authorization, value)
		}
		if equalFold(name, "last-event-id") {
			return once(&r.LastEventID, value)
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			return r.length(value)
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			return r.coding(value)
		}
	case len("sec-websocket-protocol"):
		if r.Subprotocols == nil && equalFold(name, "sec-websocket-protocol") {
			r.Subprotocols = value
		}
	}
	return nil
}

// fieldError says what is wrong with a line whose name ends at i.
func fieldError(line []byte, i int) error {
	space := i < len(line) && (line[i] == ' ' || line[i] == '\t')
	switch {
	case space && i == 0:
		return errFold
	case space:
		return errNameSpace
	}
	return errName
}

// once stores a header that may not be repeated: readers that took the first
// and readers that took the last would see different requests.
func once(dst *[]byte, value []byte) error {
	if *dst != nil {
		return errDuplicate
	}
	*dst = value
	return nil
}

// Header returns the value of the first header of that name, nil if there is
// none. It looks through all header lines: fit for what few requests need.
func (r *Request) Header(name string) []byte {
	for f := r.Fields(); ; {
		n, value, ok := f.Next()
		if !ok {
			return nil
		}
		if equalFold(n, name) {
			return value
		}
	}
}

// Peek returns the value of the header of that name in bytes that Parse refused
// or of which more is to come: nil if there is no whole line of it, or two. It
// is for the answer's sake only.
func Peek(head []byte, name string) (value []byte) {
	for {
		_, rest, ok := bytes.Cut(head, newline)
		line, _, whole := bytes.Cut(rest, newline)
		if line = bytes.TrimSuffix(line, carriageReturn); !ok || !whole || len(line) == 0 {
			return value
		}
		head = rest
		n, v, ok := bytes.Cut(line, colon)
		if !ok || len(n) != len(name) || !equalFold(n, name) {
			continue
		}
		if value != nil || !validValue(v) {
			return nil
		}
		value = trimSpace(v)
	}
}

var newline, carriageReturn, colon = []byte("\n"), []byte("\r"), []byte(":")

// Fields returns an iterator over all header lines of a parsed request.
func (r *Request) Fields() Fields { return Fields{r.fields} }

// Fields goes through header lines in the order they were sent.
type Fields struct{ rest []byte }

// Next returns the next header. The name is in the client's spelling.
func (f *Fields) Next() (name, value []byte, ok bool) {
	if len(f.rest) == 0 {
		return nil, nil, false
	}
	end := bytes.IndexByte(f.rest, '\n')
	line := f.rest[:end-1]
	f.rest = f.rest[end+1:]
	colon := bytes.IndexByte(line, ':')
	return line[:colon], trimSpace(line[colon+1:]), true
}
