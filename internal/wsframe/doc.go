// Package wsframe reads and writes WebSocket frames (RFC 6455, no extensions)
// for either end of a connection.
//
// The Reader takes whatever bytes a non-blocking socket gave, stops at any one
// of them and goes on with the next; it holds no buffer of the message. The
// rules of headers, close frames and masks are github.com/gobwas/ws's; this package
// adds the resumable part.
package wsframe
