package client

import (
	"bytes"
	"strconv"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// maxHead bounds the head of an answer.
const maxHead = 16 << 10

// head is the part of an HTTP answer's head that matters to a client. Its slices
// belong to the input.
type head struct {
	status      int
	length      int64 // of the body; -1 where the head doesn't tell
	chunked     bool
	closes      bool // the connection ends with this answer
	upgrade     bool // Upgrade: websocket and Connection: upgrade
	accept      []byte
	protocol    []byte // the subprotocol chosen
	contentType []byte
	cursor      []byte
	retryAfter  []byte
	location    []byte
	server      []byte
	via         []byte
}

// parseHead reads an answer's head. n is its length with the empty line, 0
// while p doesn't hold all of it. A false ok: this is not HTTP/1.1, or too
// long.
func parseHead(p []byte) (h head, n int, ok bool) {
	const version = "HTTP/1.1 "
	if k := min(len(p), len(version)); string(p[:k]) != version[:k] {
		return head{}, 0, false
	}
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		return head{}, 0, len(p) <= maxHead
	}
	if end > maxHead {
		return head{}, 0, false
	}
	n = end + 4
	line, rest, _ := bytes.Cut(p[:end], []byte("\r\n"))
	code, _, _ := bytes.Cut(line[len(version):], []byte(" "))
	status, err := strconv.Atoi(string(code))
	if err != nil || len(code) != 3 || status < 100 {
		return head{}, 0, false
	}
	h = head{status: status, length: -1}
	var websocket, connection bool
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			return head{}, 0, false
		}
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			// RFC 9112 section 6.3: a bad length can't be recovered from.
			if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil || h.length < 0 {
				return head{}, 0, false
			}
		case is(name, "transfer-encoding"):
			if !is(value, "chunked") {
				return head{}, 0, false
			}
			h.chunked = true
		case is(name, "connection"):
			h.closes = h.closes || hasToken(value, "close")
			connection = connection || hasToken(value, "upgrade")
		case is(name, "upgrade"):
			websocket = websocket || hasToken(value, "websocket")
		case is(name, "sec-websocket-accept"):
			h.accept = value
		case is(name, "sec-websocket-protocol"):
			h.protocol = value
		case is(name, "content-type"):
			h.contentType = value
		case is(name, "poll-cursor"):
			h.cursor = value
		case is(name, "retry-after"):
			h.retryAfter = value
		case is(name, "location"):
			h.location = value
		case is(name, "server"):
			h.server = value
		case is(name, "via"):
			h.via = value
		}
	}
	h.upgrade = websocket && connection
	return h, n, true
}

// foreignAnswer names an answer that parseHead does not take.
func foreignAnswer(p []byte) account.Reason {
	if bytes.HasPrefix(p, []byte("HTTP/1.0")) {
		return account.ReasonHTTP10
	}
	return account.ReasonNotHTTP
}

// is compares without regard to case.
func is(b []byte, word string) bool {
	return len(b) == len(word) && bytes.EqualFold(b, []byte(word))
}

// hasToken looks for a word in a comma separated value.
func hasToken(value []byte, word string) bool {
	for part := range bytes.SplitSeq(value, []byte(",")) {
		if is(bytes.TrimSpace(part), word) {
			return true
		}
	}
	return false
}
