// Package wsframe reads and writes WebSocket frames (RFC 6455, no extensions)
// for either end of a connection.
//
// The Reader takes whatever bytes a non-blocking socket gave, stops at any one
// of them and goes on with the next; it holds no buffer of the message. What
// may stand in a header or a close frame and how payloads are masked is
// github.com/gobwas/ws's knowledge; this package adds the resumable part.
package wsframe
