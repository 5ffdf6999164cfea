package http1

// Error is a refusal, ready to be sent with AppendError. The connection it
// came from must be closed, for the place of the next request is unknown.
// Every error of this package is an *Error; all but those of Query.Int are
// predeclared, so that a flood of bad requests costs no memory.
type Error struct {
	// Status is the HTTP status to answer with.
	Status int
	// Code is the machine-readable word: one of a small fixed set, fit for a
	// metric label.
	Code string
	// Message says in one sentence what is wrong.
	Message string
}

func (e *Error) Error() string { return e.Message }

// Codes of the errors.
const (
	CodeTLS         = "tls_on_plain_port"
	CodeRequestLine = "bad_request_line"
	CodeTarget      = "bad_target"
	CodeVersion     = "unsupported_version"
	CodeHeader      = "bad_header"
	CodeHost        = "bad_host"
	CodeFraming     = "bad_framing"
	CodeExpectation = "unsupported_expectation"
	CodeTargetSize  = "target_too_long"
	CodeHeadSize    = "head_too_large"
	CodeBodySize    = "body_too_large"
	CodeQuery       = "bad_query"
)

// Errors of the request line.
var (
	errTLS           = &Error{400, CodeTLS, "this port speaks plain HTTP, but the client started TLS"}
	errRequestLine   = &Error{400, CodeRequestLine, "the request line must be a method, a target and HTTP/1.1, separated by single spaces"}
	errMethod        = &Error{400, CodeRequestLine, "the request does not start with a method name"}
	errMethodSize    = &Error{501, CodeRequestLine, "the method name is longer than any known method"}
	errVersionSyntax = &Error{400, CodeRequestLine, "the protocol version must be written as HTTP/1.1"}
	errHTTP2         = &Error{505, CodeVersion, "this port speaks HTTP/1.1, but the client started HTTP/2 without an upgrade"}
	errVersion       = &Error{505, CodeVersion, "only HTTP/1.1 and HTTP/1.0 are supported"}
	errTargetByte    = &Error{400, CodeTarget, "the request target holds a byte that must be percent-encoded"}
	errTargetEscape  = &Error{400, CodeTarget, "the path holds a percent sign without two hexadecimal digits"}
	errTargetForm    = &Error{400, CodeTarget, "the request target must be a path starting with a slash, or an http URL"}
	errTargetSize    = &Error{431, CodeTargetSize, "the request line is longer than the limit for a request head"}
	errHeadSize      = &Error{431, CodeHeadSize, "the request head is longer than the limit"}
	errFieldCount    = &Error{431, CodeHeadSize, "the request has too many header lines"}
)

// Errors of the header lines.
var (
	errBareLF      = &Error{400, CodeHeader, "a line ends in LF alone, not in CR LF"}
	errFold        = &Error{400, CodeHeader, "a header line starts with white space"}
	errName        = &Error{400, CodeHeader, "a header line must be a name, directly followed by a colon, and a value"}
	errNameSpace   = &Error{400, CodeHeader, "white space before the colon of a header line"}
	errValue       = &Error{400, CodeHeader, "a header value holds a control character"}
	errDuplicate   = &Error{400, CodeHeader, "a header that may be sent once was sent twice"}
	errConnection  = &Error{400, CodeHeader, "the Connection header is not a list of tokens"}
	errUpgrade     = &Error{400, CodeHeader, "the Upgrade header is not a list of protocols"}
	errElements    = &Error{400, CodeHeader, "the lists in Connection, Upgrade and the like are too long"}
	errTrailer     = &Error{400, CodeHeader, "the Trailer header names a field that may not be sent after the body"}
	errHostMissing = &Error{400, CodeHost, "an HTTP/1.1 request needs a Host header"}
	errHostTwice   = &Error{400, CodeHost, "more than one Host header"}
	errHost        = &Error{400, CodeHost, "the host must be a name or an address with an optional port"}
	errExpect      = &Error{417, CodeExpectation, "the only supported expectation is 100-continue"}
)

// Errors of the body.
var (
	errLength      = &Error{400, CodeFraming, "Content-Length must be one decimal number without sign or leading zero"}
	errLengthTwice = &Error{400, CodeFraming, "more than one Content-Length header"}
	errLengthCoded = &Error{400, CodeFraming, "Content-Length and Transfer-Encoding in one request"}
	errCodingTwice = &Error{400, CodeFraming, "more than one Transfer-Encoding header"}
	errCoding      = &Error{400, CodeFraming, "the transfer coding must end in exactly one chunked"}
	errCodingOther = &Error{501, CodeFraming, "the only supported transfer coding is chunked"}
	errCodingOld   = &Error{400, CodeFraming, "an HTTP/1.0 request with Transfer-Encoding"}
	errUpgradeBody = &Error{400, CodeFraming, "a WebSocket handshake with a body"}
	errChunk       = &Error{400, CodeFraming, "malformed chunked body"}
	errChunkSpare  = &Error{400, CodeFraming, "too many bytes in chunk extensions and trailers"}
	errBodySize    = &Error{413, CodeBodySize, "the request body is longer than the limit"}
)

// Errors of the query.
var (
	errQueryEscape    = &Error{400, CodeQuery, "the query holds a percent sign without two hexadecimal digits"}
	errQuerySemicolon = &Error{400, CodeQuery, "query parameters are separated by an ampersand; a semicolon must be percent-encoded"}
	errQueryCount     = &Error{400, CodeQuery, "too many query parameters"}
)
