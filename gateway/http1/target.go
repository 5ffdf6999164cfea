package http1

import "bytes"

// maxMethod is longer than every registered method; the longest is
// UPDATEREDIRECTREF with 17.
const maxMethod = 32

// checkStart looks at the first bytes of a request, which need not be a whole
// line, so that clients with another protocol are refused at once rather than
// by the timeout.
func checkStart(p []byte) error {
	// A TLS record of type handshake: 0x16, then the version 0x03 0x0?.
	if len(p) > 0 && p[0] == 0x16 {
		if len(p) == 1 {
			return nil
		}
		if p[1] == 0x03 {
			return errTLS
		}
	}
	for i, c := range p {
		if classes[c]&isToken == 0 {
			if c != ' ' || i == 0 {
				return errMethod
			}
			return nil
		}
		if i == maxMethod {
			return errMethodSize
		}
	}
	return nil
}

// requestLine reads RFC 9112 3: method SP request-target SP HTTP-version. The
// method has been checked by checkStart.
func (r *Request) requestLine(line []byte) error {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return errMethod
	}
	r.Method = line[:i]
	line = line[i+1:]
	i = bytes.IndexByte(line, ' ')
	if i <= 0 {
		return errRequestLine
	}
	if err := r.version(line[i+1:]); err != nil {
		return err
	}
	return r.target(line[:i])
}

// version takes HTTP/1.1 and HTTP/1.0. Other minor versions don't exist.
func (r *Request) version(v []byte) error {
	switch string(v) {
	case "HTTP/1.1":
		r.Minor = 1
		return nil
	case "HTTP/1.0":
		return nil
	}
	if len(v) != len("HTTP/1.1") || string(v[:5]) != "HTTP/" || !isDigit(v[5]) || v[6] != '.' || !isDigit(v[7]) {
		return errVersionSyntax
	}
	if v[5] == '2' && string(r.Method) == "PRI" {
		return errHTTP2
	}
	return errVersion
}

// target takes the origin form and, as RFC 9112 3.2.2 demands, the absolute
// form; of OPTIONS also the asterisk. The authority form means nothing to the
// gateway.
func (r *Request) target(t []byte) error {
	if !all(t, isTarget) {
		return errTargetByte
	}
	if string(t) == "*" && string(r.Method) == "OPTIONS" {
		r.Path = t
		return nil
	}
	if t[0] != '/' {
		rest, ok := cutScheme(t)
		if !ok {
			return errTargetForm
		}
		end := bytes.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		r.Host = rest[:end]
		if !validHost(r.Host) {
			return errHost
		}
		t = rest[end:]
	} else if string(r.Method) == "CONNECT" {
		return errTargetForm
	}
	r.Path = t
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		r.Path, r.RawQuery = t[:i], t[i+1:]
	}
	if len(r.Path) == 0 {
		// RFC 9112 3.2.1: the empty path of an absolute target is the root.
		r.Path = slash
	}
	for i, c := range r.Path {
		if c == '%' && !escaped(r.Path[i:]) {
			return errTargetEscape
		}
	}
	return nil
}

func cutScheme(t []byte) (rest []byte, ok bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(t) > len(scheme) && equalFold(t[:len(scheme)], scheme) {
			return t[len(scheme):], true
		}
	}
	return nil, false
}

func isDigit(c byte) bool { return c-'0' < 10 }
