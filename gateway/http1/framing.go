package http1

import "bytes"

// host takes the Host header. With an absolute target it is checked, but the
// target's own host holds (RFC 9112 3.2.2).
func (r *Request) host(value []byte) error {
	if r.hostSeen {
		return errHostTwice
	}
	r.hostSeen = true
	if !validHost(value) {
		return errHost
	}
	if r.Host == nil {
		r.Host = value
	}
	return nil
}

// length takes Content-Length. Even two equal ones, which RFC 9110 8.6 lets a
// recipient merge, are refused: no client of the gateway sends them.
func (r *Request) length(value []byte) error {
	if r.ContentLength >= 0 {
		return errLengthTwice
	}
	n, ok := parseDecimal(value)
	if !ok || len(value) > 1 && value[0] == '0' {
		return errLength
	}
	r.ContentLength = n
	return nil
}

// parseDecimal reads digits only, at most 18, so that an int64 holds them.
func parseDecimal(p []byte) (n int64, ok bool) {
	if len(p) == 0 || len(p) > 18 {
		return 0, false
	}
	for _, c := range p {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// coding takes Transfer-Encoding (RFC 9112 6.1 and 7). Codings that are legal
// but unknown are told apart from ones that leave the length undefined.
func (r *Request) coding(value []byte) error {
	if r.Chunked {
		return errCodingTwice
	}
	if equalFold(value, "chunked") {
		r.Chunked = true
		return nil
	}
	last, count := false, 0
	for len(value) > 0 {
		element, rest, err := r.element(value)
		if err != nil {
			return err
		}
		value = rest
		if last = equalFold(element, "chunked"); last {
			count++
		}
	}
	if last && count == 1 {
		return errCodingOther
	}
	return errCoding
}

// expect takes Expect (RFC 9110 10.1.1).
func (r *Request) expect(value []byte) error {
	if !equalFold(value, "100-continue") {
		return errExpect
	}
	r.Expect100 = true
	return nil
}

// connection takes Connection, which may be sent several times.
func (r *Request) connection(value []byte) error {
	for len(value) > 0 {
		token, rest, err := r.element(value)
		if err != nil {
			return err
		}
		value = rest
		switch {
		case !all(token, isToken):
			return errConnection
		case equalFold(token, "close"):
			r.close = true
		case equalFold(token, "keep-alive"):
			r.keepAlive = true
		case equalFold(token, "upgrade"):
			r.upgrade = true
		}
	}
	return nil
}

var slash = []byte("/")

// protocols takes Upgrade (RFC 9110 7.8): protocol-name [ "/" version ].
func (r *Request) protocols(value []byte) error {
	for len(value) > 0 {
		protocol, rest, err := r.element(value)
		if err != nil {
			return err
		}
		value = rest
		name, version, versioned := bytes.Cut(protocol, slash)
		if !all(name, isToken) || !all(version, isToken) || versioned && (len(name) == 0 || len(version) == 0) {
			return errUpgrade
		}
		if equalFold(protocol, "websocket") {
			r.websocket = true
		}
	}
	return nil
}

// trailer refuses announced trailers that would change the framing after the
// fact (RFC 9110 6.5.1). Others are announced in vain: trailers are dropped.
func (r *Request) trailer(value []byte) error {
	for len(value) > 0 {
		name, rest, err := r.element(value)
		if err != nil {
			return err
		}
		value = rest
		if equalFold(name, "content-length") || equalFold(name, "transfer-encoding") || equalFold(name, "trailer") {
			return errTrailer
		}
	}
	return nil
}

// maxElements bounds the elements of all lists of one head.
const maxElements = 64

// element cuts the first element off a comma-separated list (RFC 9110 5.6.1).
// Empty elements are legal and come out empty.
func (r *Request) element(list []byte) (element, rest []byte, err error) {
	if r.elements++; r.elements > maxElements {
		return nil, nil, errElements
	}
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return trimSpace(list[:i]), list[i+1:], nil
	}
	return trimSpace(list), nil, nil
}

// finish checks what only the whole head can tell.
func (r *Request) finish() error {
	switch {
	case r.Chunked && r.ContentLength >= 0:
		return errLengthCoded
	case r.Chunked && r.Minor == 0:
		return errCodingOld
	case !r.hostSeen && r.Minor > 0:
		return errHostMissing
	}
	if r.Minor == 0 {
		// RFC 9110 7.8 and 10.1.1: both are to be ignored.
		r.upgrade, r.Expect100 = false, false
	}
	if r.Upgrade() && r.HasBody() {
		// The bytes after the head are either a body or frames, and the
		// proxy in front may think otherwise.
		return errUpgradeBody
	}
	r.Expect100 = r.Expect100 && r.HasBody()
	return nil
}
