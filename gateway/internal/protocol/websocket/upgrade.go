package websocket

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// upgrade runs gobwas's upgrader over the bytes of one head. The upgrader reads and writes streams
// and can't be resumed, so it gets a whole head from memory and its response is kept.
type upgrade struct {
	upgrader ws.Upgrader
	head     []byte
	answer   []byte
}

// upgradeBuffer is the buffer size of the upgrader's reader; its writer has half.
const upgradeBuffer = 1 << 10

func (u *upgrade) init() {
	u.upgrader = ws.Upgrader{ReadBufferSize: upgradeBuffer, WriteBufferSize: upgradeBuffer / 2}
}

// Read passes the head to the upgrader.
func (u *upgrade) Read(p []byte) (int, error) {
	if len(u.head) == 0 {
		return 0, io.EOF
	}
	n := copy(p, u.head)
	u.head = u.head[n:]
	return n, nil
}

// Write collects the upgrader's response.
func (u *upgrade) Write(p []byte) (int, error) {
	u.answer = append(u.answer, p...)
	return len(p), nil
}

// run returns the response to the handshake in head, valid until the next call.
func (u *upgrade) run(head []byte) ([]byte, error) {
	u.head, u.answer = head, u.answer[:0]
	_, err := u.upgrader.Upgrade(u)
	return u.answer, err
}

var (
	errUpgradeRequired = &http1.Error{Status: 426, Code: "upgrade_required", Message: "this path speaks WebSocket, version 13"}
	errKey             = &http1.Error{Status: 400, Code: "bad_upgrade", Message: "Sec-WebSocket-Key must be 16 bytes in base64, once"}
	errOffers          = &http1.Error{Status: 400, Code: "bad_upgrade", Message: "Sec-WebSocket-Protocol must be a list of names without spaces"}
	upgradeLine        = "Upgrade: websocket\r\nSec-WebSocket-Version: 13"
)

// Accept returns the response to the WebSocket handshake being routed, valid until the next one, or
// refuses it.
func (s *Sockets) Accept(i uint32) (answer []byte, ok bool) {
	r := s.Hub.HTTP.Request()
	// The upgrader treats a missing version as a malformed request, but the client must be told the
	// supported one (RFC 6455, 4.4).
	if !r.Upgrade() || r.Header("Sec-WebSocket-Version") == nil {
		s.fail(i, errUpgradeRequired)
		return nil, false
	}
	if !goodKey(r) {
		s.fail(i, errKey)
		return nil, false
	}
	if !goodOffers(r) {
		s.fail(i, errOffers)
		return nil, false
	}
	answer, err := s.upgrade.run(r.Head)
	if err == ws.ErrHandshakeBadConnection || err == ws.ErrHandshakeBadUpgrade {
		answer, err = s.upgrade.run(plainHead(r))
	}
	if err != nil {
		e := &http1.Error{Status: 400, Code: "bad_upgrade", Message: err.Error()}
		if rejected, ok := err.(*ws.ConnectionRejectedError); ok && rejected.StatusCode() == 426 {
			e = errUpgradeRequired
		}
		s.fail(i, e)
		return nil, false
	}
	return s.agree(answer), true
}

// Open makes a connection whose handshake was accepted a client. The response is still to be sent.
func (s *Sockets) Open(i uint32, raw bool) {
	s.Hub.Stats.Handshakes[reasons.HandshakeOK]++
	s.awaited = false
	s.Hub.HTTP.Upgraded(i)
	s.Hub.Open(i, s.Kind, raw)
}

// fail refuses a handshake.
func (s *Sockets) fail(i uint32, err *http1.Error) {
	s.Hub.Stats.Handshakes[reasons.HandshakeFailed]++
	var line []byte
	if err.Status == 426 {
		line = []byte(upgradeLine)
	}
	s.Hub.HTTP.Refuse.Request(i, reasons.RejectUpgrade, err, line)
}

// plainHead returns the head of a WebSocket handshake with Connection and Upgrade reduced to one
// line each. The upgrader reads neither a value in several lines nor a list of protocols, which RFC
// 9110 (5.3, 7.8) allows.
func plainHead(r *http1.Request) []byte {
	end := bytes.IndexByte(r.Head, '\n') + 1
	head := append(bytes.Clone(r.Head[:end]), "Upgrade: websocket\r\nConnection: Upgrade\r\n"...)
	for f := r.Fields(); ; {
		name, value, ok := f.Next()
		if !ok {
			return append(head, "\r\n"...)
		}
		if !strings.EqualFold(string(name), "Connection") && !strings.EqualFold(string(name), "Upgrade") {
			head = fmt.Appendf(head, "%s: %s\r\n", name, value)
		}
	}
}

// goodKey reports whether the request has exactly one key of 16 bytes in base64 (RFC 6455, 4.2.1).
// The upgrader checks only its length.
func goodKey(r *http1.Request) bool {
	const name = "Sec-WebSocket-Key"
	var key []byte
	for f := r.Fields(); ; {
		n, value, ok := f.Next()
		if !ok {
			break
		}
		if len(n) == len(name) && strings.EqualFold(string(n), name) {
			if key != nil {
				return false
			}
			key = value
		}
	}
	var nonce [18]byte
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], key)
	return err == nil && n == 16
}
