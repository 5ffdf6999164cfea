package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

var (
	headEnd   = []byte("\r\n\r\n")
	keyHeader = []byte("sec-websocket-key:")
)

// acceptGUID is hashed behind the key: RFC 6455, section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

const (
	opClose = 0x8
	opPong  = 0xa
)

var (
	errNoKey    = errors.New("request without a key")
	errNoAnswer = errors.New("handshake not answered")
	errClose    = errors.New("close frame")
	errLong     = errors.New("frame over 125 bytes")
)

// readHead answers the handshake once the request's head is complete, and goes
// on with the frames that came with it.
func (s *server) readHead(fd int, in []byte) (used int, err error) {
	end := bytes.Index(in, headEnd)
	if end < 0 {
		return 0, nil
	}
	key := findKey(in[:end])
	if key == nil {
		return 0, errNoKey
	}
	var answer [160]byte
	if !s.write(fd, appendAnswer(answer[:0], key)) {
		return 0, errNoAnswer
	}
	s.conns[fd].role = roleFrames
	s.stats.Connections++
	s.stats.Handshakes++
	used = end + len(headEnd)
	n, err := s.readFrames(in[used:])
	return used + n, err
}

// findKey returns the value of Sec-WebSocket-Key.
func findKey(head []byte) []byte {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if len(line) > len(keyHeader) && bytes.EqualFold(line[:len(keyHeader)], keyHeader) {
			return bytes.TrimSpace(line[len(keyHeader):])
		}
	}
	return nil
}

func appendAnswer(dst, key []byte) []byte {
	var in [128]byte
	sum := sha1.Sum(append(append(in[:0], key...), acceptGUID...))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	return append(dst, "\r\n\r\n"...)
}

// readFrames counts pongs and ignores other frames, which must be short and
// masked.
func (s *server) readFrames(in []byte) (used int, err error) {
	for len(in)-used >= 2 {
		length := int(in[used+1] & 0x7f)
		if length > 125 {
			return used, errLong
		}
		end := used + 2 + 4 + length
		if end > len(in) {
			break
		}
		switch in[used] & 0xf {
		case opPong:
			s.stats.Pongs++
		case opClose:
			return end, errClose
		}
		used = end
	}
	return used, nil
}

// appendText appends a text frame with n bytes of payload.
func appendText(dst []byte, n int) []byte {
	switch {
	case n < 126:
		dst = append(dst, 0x81, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x81, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x81, 127), uint64(n))
	}
	return append(dst, bytes.Repeat([]byte("x"), n)...)
}
