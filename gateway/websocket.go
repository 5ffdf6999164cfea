package gateway

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
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

// websocket handles a request for /v1/ws.
func (s *shard) websocket(i uint32, c *client, rest []byte) {
	answer, ok := s.acceptKey(i, c)
	if !ok {
		return
	}
	p, err := s.query()
	if err != nil {
		s.refuse(i, c, reasons.RejectChannels, err, nil)
		return
	}
	s.stats.handshakes[reasons.HandshakeOK]++
	s.open(c, kindWebSocket, p.raw)
	s.handshake(i, c, answer, &p)
	if c.phase == phaseOpen && len(rest) > 0 {
		s.frames(i, c, rest)
	}
}

// acceptKey returns the response to the WebSocket handshake in s.request, or refuses it.
func (s *shard) acceptKey(i uint32, c *client) (answer []byte, ok bool) {
	// The upgrader treats a missing version as a malformed request, but the client must be told the
	// supported one (RFC 6455, 4.4).
	if !s.request.Upgrade() || s.request.Header("Sec-WebSocket-Version") == nil {
		s.failHandshake(i, c, errUpgradeRequired)
		return nil, false
	}
	if !goodKey(&s.request) {
		s.failHandshake(i, c, errKey)
		return nil, false
	}
	if !goodOffers(&s.request) {
		s.failHandshake(i, c, errOffers)
		return nil, false
	}
	answer, err := s.upgrade.run(s.request.Head)
	if err == ws.ErrHandshakeBadConnection || err == ws.ErrHandshakeBadUpgrade {
		answer, err = s.upgrade.run(plainHead(&s.request))
	}
	if err != nil {
		e := &http1.Error{Status: 400, Code: "bad_upgrade", Message: err.Error()}
		if rejected, ok := err.(*ws.ConnectionRejectedError); ok && rejected.StatusCode() == 426 {
			e = errUpgradeRequired
		}
		s.failHandshake(i, c, e)
		return nil, false
	}
	return s.agree(answer), true
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

// handshake responds to a WebSocket's handshake and admits the client, or waits for its token.
func (s *shard) handshake(i uint32, c *client, answer []byte, p *params) {
	token := s.requestToken()
	if len(token) > 0 || s.cfg.Auth.Mode == auth.ModeNone {
		s.admit(i, c, token, p, "", answer)
		return
	}
	s.conns.SendCopy(i, answer)
	if c.phase == phaseOpen {
		c.flags |= flagUnknown
		kept := *p
		s.unknown[i] = &kept
		s.holdInput(kept.bytes())
		s.conns.SetDeadline(i, s.conns.Now()+conn.Ticks(s.cfg.Limits.HeadTimeout))
	}
}

func (s *shard) failHandshake(i uint32, c *client, err *http1.Error) {
	s.stats.handshakes[reasons.HandshakeFailed]++
	var line []byte
	if err.Status == 426 {
		line = []byte(upgradeLine)
	}
	s.refuse(i, c, reasons.RejectUpgrade, err, line)
}

// framesPerMessage is the number of frames that count as a message: a client may send fragments
// without data.
const framesPerMessage = 100

// frames processes bytes of an open WebSocket.
func (s *shard) frames(i uint32, c *client, p []byte) {
	if c.flags&flagTask != 0 {
		s.keepBehind(i, p)
		return
	}
	reader := &s.fresh
	switch {
	case c.in != 0:
		reader = &s.inputs.At(c.in).frame
	case c.kind == kindEcho:
		*reader = s.echo
	default:
		*reader = s.frame
	}
	for len(p) > 0 {
		ev, n, err := reader.Next(p)
		if err != nil {
			s.badFrame(i, c, err.(*wsframe.Error))
			return
		}
		p = p[n:]
		switch ev.Kind {
		case wsframe.Data:
			if c.kind == kindEcho {
				s.echoPiece(i, c, ev)
				break
			}
			s.data(i, c, ev)
		case wsframe.Ping:
			if !s.withinRate(i) {
				s.tooFast(i, c, &command{})
				break
			}
			s.scratch = wsframe.AppendFrame(s.scratch[:0], ws.OpPong, ev.Payload)
			s.conns.SendCopy(i, s.scratch)
		case wsframe.Pong:
			if s.awaited {
				s.awaited = false
			} else if !s.withinRate(i) {
				s.tooFast(i, c, &command{})
			}
		case wsframe.Close:
			s.echoClose(i, ev.Code)
		}
		if c.phase != phaseOpen {
			return
		}
		if c.flags&flagTask != 0 {
			s.keepBehind(i, p)
			break
		}
	}
	for range reader.TakeFrames(framesPerMessage) {
		if s.withinRate(i) {
			continue
		}
		if s.tooFast(i, c, &command{}); c.phase != phaseOpen {
			return
		}
	}
	if reader.Idle() {
		s.freeInput(c)
		return
	}
	if in := s.inputOf(i, c); reader != &in.frame {
		in.frame = *reader
	}
}

// data takes a piece of a message. A message that is whole in the read buffer is handled there;
// others are gathered.
func (s *shard) data(i uint32, c *client, ev wsframe.Event) {
	if ev.Op != ws.OpText {
		s.end(i, c, reasons.CloseNotText)
		return
	}
	message := ev.Payload
	if held := c.in != 0 && len(s.inputs.At(c.in).buf) > 0; held || !ev.Final {
		in := s.takeInput(i, c, ev.Payload, s.cfg.Limits.MessageBytes)
		if !ev.Final {
			return
		}
		message = in.buf
		in.buf = in.buf[:0]
	}
	s.message(i, c, message)
}

// badFrame fails the connection for an invalid frame.
func (s *shard) badFrame(i uint32, c *client, err *wsframe.Error) {
	reason := reasons.CloseProtocol
	switch err.Code {
	case ws.StatusMessageTooBig:
		reason = reasons.CloseTooBig
		s.stats.rejects[reasons.RejectMessageSize]++
	case ws.StatusInvalidFramePayloadData:
		reason = reasons.CloseBadData
	}
	s.endSaying(i, c, reason, err.Text)
}
