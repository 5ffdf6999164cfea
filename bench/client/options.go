package client

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Options are a server's address and its speech.
type Options struct {
	Remote   netip.AddrPort
	Clients  int                      // slots 0 to Clients-1
	InFlight int                      // handshakes under way at a time
	Request  func(slot uint32) []byte // opens the connection; called on the loop
	TLS      *tls.Config              // nil: the server speaks no TLS

	// AtOnce sends the request without waiting for an event: over loopback the
	// connection is mostly made by the time that connect returns. It saves the
	// client a turn, and a server finds the request when it accepts.
	AtOnce bool
	// Lag is how long the loop sleeps after each turn once all clients are
	// settled, to find many of them with something to read. Asleep in epoll it
	// would be woken by the server's writes, at the server's expense.
	Lag time.Duration

	Messages int // they are numbered from 0
	First    int // number of the first one that a client is to get
	// Strict ends the run when a message is lost or doubled, at a gap and at the
	// end of a connection; without it these are counted.
	Strict bool

	Speech
}

// Speech is how a server's texts are told apart.
type Speech struct {
	Events bool   // the server answers with an event stream, not with a WebSocket
	Hello  string // sent by the client once the handshake is done
	// Joined begins the text that confirms a subscription; "": the handshake's
	// response does.
	Joined string
	// Subscriptions are how many confirmations a client waits for; nil: one.
	Subscriptions func(slot uint32) uint8

	Message string // begins a message
	// Number stands before a message's number, and a text without it is no
	// message; "": messages have no number and are taken for those that are due.
	Number string

	Ping  string   // a text that is answered by itself
	Lines bool     // a text may hold several, one a line
	Known []string // begin all other texts; nil: they are ignored
}

// Gateway is how the gateway speaks over a WebSocket. A welcome precedes the
// confirmations.
func Gateway() Speech {
	return Speech{Joined: `{"type":"subscribed"`, Message: `{"type":"message"`, Known: []string{`{"type":"welcome"`}}
}

// The gateway's texts that the clients know of any server.
var (
	byeText = []byte(`{"type":"bye"`)
	gapText = []byte(`{"type":"gap"`)
)

// WebSocketRequest opens a WebSocket.
func WebSocketRequest(path string, remote netip.AddrPort) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, remote)
}

// EventsRequest opens an event stream.
func EventsRequest(path string, remote netip.AddrPort) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", path, remote)
}

// Same returns one request for all clients.
func Same(request []byte) func(uint32) []byte { return func(uint32) []byte { return request } }

// Payload returns a message in so many bytes, {"KEY":K,"text":"xx…"}, whose
// number stands behind {"KEY": in any text around it.
func Payload(key string, k, size int) []byte {
	p := fmt.Appendf(nil, `{"%s":%d,"text":"`, key, k)
	return append(append(p, strings.Repeat("x", size-len(p)-2)...), `"}`...)
}

// number returns a message's number. next is the one that is due.
func (s *Speech) number(text []byte, next int) (k int, ok bool) {
	if !bytes.HasPrefix(text, []byte(s.Message)) {
		return 0, false
	}
	if s.Number == "" {
		return next, true
	}
	at := bytes.Index(text, []byte(s.Number))
	if at < 0 {
		return 0, false
	}
	for _, digit := range text[at+len(s.Number):] {
		if digit < '0' || digit > '9' {
			break
		}
		k, ok = 10*k+int(digit-'0'), true
	}
	return k, ok
}

// begins reports whether a text begins so, which "" never does.
func begins(text []byte, with string) bool {
	return with != "" && bytes.HasPrefix(text, []byte(with))
}
