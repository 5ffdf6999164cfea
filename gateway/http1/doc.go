// Package http1 reads HTTP/1.1 requests (RFC 9112) out of a byte slice and
// appends responses to one. It serves an event loop that owns the sockets and
// the buffers: nothing here reads, blocks, starts a goroutine or keeps memory.
//
// A loop calls Request.Parse on what it has received. As long as the head is
// incomplete Parse returns 0 and is called again with more bytes; the slices
// of a parsed Request point into the buffer and live as long as it does.
// Request.Body then decodes a body piece by piece, in whatever portions it
// arrives.
//
// The reader is strict. Wherever two readers could disagree about where a
// request ends (bare LF, folded lines, space before a colon, two lengths, a
// length beside a transfer coding, a coding other than one chunked) the
// request is refused, and the connection must be closed: a proxy in front of
// the gateway may have seen another request in the same bytes.
//
// github.com/gobwas/httphead has parsers for the same grammar, but they trim
// the space before a colon, treat line breaks inside a value as space, take
// "a b" for a list of two tokens and ':' for a digit. Here it serves the tests
// as a second opinion on what a token character is.
package http1
