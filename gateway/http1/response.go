package http1

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// Continue answers a request with Expect100 once its body is wanted.
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// Options are what the responses of one connection have in common. The zero
// value keeps the connection and adds nothing.
type Options struct {
	// Close sends Connection: close; the caller closes once all is written.
	Close bool
	// NoBody leaves the body out but announces its length, as the answer to
	// HEAD must.
	NoBody bool
	// ContentType is sent with a body; empty means JSON.
	ContentType string
	// Date is the value of the Date header as AppendDate makes it, best once
	// a second for all connections; empty leaves the header out.
	Date []byte
	// AllowOrigin is the web page that may read the response: its origin, which
	// may then have sent a cookie, "*" for whichever it is, or empty for none.
	AllowOrigin string
	// Lines are further header lines, each complete with its CR LF. They are
	// sent as they are.
	Lines []byte
}

// AnyOrigin lets every page read a response, but none that came with a cookie.
const AnyOrigin = "*"

// AppendResponse appends a whole response. Statuses that have no body (1xx,
// 204, 304) are sent without one.
func AppendResponse(dst []byte, status int, body []byte, o Options) []byte {
	if bodiless(status) {
		return appendCommon(appendStatus(dst, status), o)
	}
	dst = AppendHead(dst, status, len(body), o)
	if o.NoBody {
		return dst
	}
	return append(dst, body...)
}

// AppendHead appends the head of a response whose body of so many bytes follows.
func AppendHead(dst []byte, status, length int, o Options) []byte {
	return appendCommon(appendLength(appendType(appendStatus(dst, status), o), length), o)
}

// AppendStream appends the head of a response whose body ends with the
// connection, whatever o.Close says.
func AppendStream(dst []byte, status int, o Options) []byte {
	o.Close = true
	return appendCommon(appendType(appendStatus(dst, status), o), o)
}

// AppendError appends a response with the body
// {"error":{"code":"…","message":"…"}}; o.ContentType is not used.
func AppendError(dst []byte, status int, code, message string, o Options) []byte {
	// The body goes through the stack for its length must come first; only an
	// unusually long text allocates.
	var space [512]byte
	body := append(space[:0], `{"error":{"code":`...)
	body = appendString(body, code)
	body = append(body, `,"message":`...)
	body = appendString(body, message)
	body = append(body, "}}"...)
	o.ContentType = ""
	return AppendResponse(dst, status, body, o)
}

// Append appends the error as a response that closes the connection.
func (e *Error) Append(dst []byte, o Options) []byte {
	o.Close = true
	return AppendError(dst, e.Status, e.Code, e.Message, o)
}

// AppendDate appends t in the form of RFC 9110 5.6.7.
func AppendDate(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, http.TimeFormat)
}

func bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

func appendStatus(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	return append(dst, "\r\n"...)
}

func appendType(dst []byte, o Options) []byte {
	if o.ContentType == "" {
		return append(dst, "Content-Type: application/json\r\n"...)
	}
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, o.ContentType...)
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, n int) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, "\r\n"...)
}

// appendCommon ends the head. No answer is the same for the next request, and
// middleware that compressed a stream would hold it back: no-transform is what
// Express' compression and some content networks look for. X-Content-Type-Options
// keeps browsers from reading a payload as a page.
func appendCommon(dst []byte, o Options) []byte {
	if len(o.Date) > 0 {
		dst = append(dst, "Date: "...)
		dst = append(dst, o.Date...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "Cache-Control: no-store, no-transform\r\nX-Content-Type-Options: nosniff\r\n"...)
	dst = appendAllow(dst, o.AllowOrigin)
	dst = append(dst, o.Lines...)
	if o.Close {
		return append(dst, "Connection: close\r\n\r\n"...)
	}
	return append(dst, "Connection: keep-alive\r\n\r\n"...)
}

// appendAllow lets a page read the response (Fetch standard, 3.3). A page that
// is named may send cookies, which no wildcard allows.
func appendAllow(dst []byte, origin string) []byte {
	switch origin {
	case "":
		return dst
	case AnyOrigin:
		dst = append(dst, "Access-Control-Allow-Origin: *\r\n"...)
	default:
		dst = append(dst, "Access-Control-Allow-Origin: "...)
		dst = append(dst, origin...)
		dst = append(dst, "\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"...)
	}
	return append(dst, "Access-Control-Expose-Headers: Poll-Cursor, Retry-After\r\n"...)
}

// appendString appends s as a JSON string (RFC 8259 7). Bytes that are not
// UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < 0x20 || c == '<':
			// '<' so that the text is harmless inside a page too.
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
