package client

import (
	"bytes"
	"strconv"

	"github.com/pushgate/pushgate/internal/chunked"
	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// poll is a long-poll client: one GET after the other on a connection that is
// kept alive as long as the server does. The first waits for nothing and brings
// the cursor, with which the next ones miss nothing.
type poll struct{}

// pollWait is how long the server may hold a poll, in seconds.
const pollWait = 25

func (t poll) appendRequest(l *loop, dst []byte, slot uint32) []byte {
	i := l.number(slot)
	dst = l.plan.AppendGet(dst, i)
	if cursor := l.cursor(slot); len(cursor) > 0 {
		dst = plan.AppendEscaped(append(dst, "&cursor="...), cursor)
	}
	dst = append(dst, "&wait=0"...)
	return append(l.plan.AppendFields(dst, i), "\r\n"...)
}

// appendNext appends the request that waits for messages behind a cursor.
func (t poll) appendNext(l *loop, dst []byte, slot uint32, cursor []byte) []byte {
	i := l.number(slot)
	dst = append(l.plan.AppendGet(dst, i), "&cursor="...)
	dst = plan.AppendEscaped(dst, cursor)
	dst = strconv.AppendInt(append(dst, "&wait="...), pollWait, 10)
	return append(l.plan.AppendFields(dst, i), "\r\n"...)
}

// received takes an answer once it is whole. There is never more than one: the
// next request is sent only then.
func (t poll) received(l *loop, slot uint32, p []byte) { t.take(l, slot, p, false) }

// ended takes the end of the stream, with which an answer without a length is
// whole. False: there was no such answer.
func (t poll) ended(l *loop, slot uint32) bool {
	s := l.heldScratch(slot)
	if s == nil || len(s.in) == 0 {
		return false
	}
	return t.take(l, slot, nil, true)
}

func (t poll) take(l *loop, slot uint32, p []byte, ended bool) bool {
	s := l.heldScratch(slot)
	if s != nil && len(s.in) > 0 {
		s.in = append(s.in, p...)
		p = s.in
	}
	h, body, whole, fault := wholeAnswer(p, ended)
	if fault != "" {
		l.end(slot, fault)
		return true
	}
	if !whole {
		if s == nil || len(s.in) == 0 {
			s = l.scratch(slot)
			s.in = append(s.in, p...)
		}
		return false
	}
	t.answer(l, slot, h, body)
	return true
}

// wholeAnswer finds the end of an answer and takes off its chunked coding. ended says that p is
// all there is.
func wholeAnswer(p []byte, ended bool) (h head, body []byte, whole bool, fault account.Reason) {
	h, n, ok := parseHead(p)
	switch {
	case !ok:
		return h, nil, false, foreignAnswer(p)
	case n == 0:
		return h, nil, false, ""
	case h.status == 204:
		return h, nil, true, ""
	case h.length > plan.MaxMessage || len(p)-n > 2*plan.MaxMessage:
		return h, nil, false, account.ReasonBodySize
	}
	if body, whole, ok = h.body(p[n:]); !ok {
		return h, nil, false, account.ReasonBody
	}
	if !h.chunked && h.length < 0 {
		// RFC 9112 section 6.3: without a length the body ends with the
		// connection.
		h.closes, whole = true, ended
	}
	return h, body, whole, ""
}

// body returns the body of an answer as far as it is there, a chunked one in memory of its own.
// Without a length it is never known to be whole.
func (h *head) body(p []byte) (body []byte, whole, ok bool) {
	if !h.chunked {
		if whole = h.length >= 0 && int64(len(p)) >= h.length; whole {
			p = p[:h.length]
		}
		return p, whole, true
	}
	var coding chunked.Decoder
	for len(p) > 0 && !coding.Done() {
		piece, n, ok := coding.Next(p)
		if !ok {
			return nil, false, false
		}
		body = append(body, piece...)
		p = p[n:]
	}
	return body, coding.Done(), true
}

// answer takes a whole answer and sends the next request.
func (t poll) answer(l *loop, slot uint32, h head, body []byte) {
	c := &l.clients[slot]
	cursor := h.cursor
	switch h.status {
	case 200:
		if said := field(body, `"cursor":"`); said != nil {
			cursor = said
		}
	case 204:
	default:
		h.chunked, h.length = false, int64(len(body)) // it is whole, and bare
		l.refuse(slot, h, body, true)
		return
	}
	if len(cursor) == 0 {
		l.end(slot, account.ReasonCursor)
		return
	}
	l.setCursor(slot, cursor)
	if c.state == opening {
		l.foundProxy(h.intermediary())
		l.opened(slot)
		l.confirmed(slot, l.plan.ChannelSet.PerClient())
	}
	if h.status == 200 {
		t.messages(l, slot, body)
	} else {
		l.counters.Pings++
	}
	if h.closes {
		l.counters.Renewed++
		l.renew(slot, 0)
		return
	}
	if !l.send(slot, t.appendNext(l, l.out[:0], slot, cursor)) {
		return
	}
	if s := l.heldScratch(slot); s != nil {
		s.in = s.in[:0]
		l.tidy(slot)
	}
}

// messages books the messages of an answer.
func (t poll) messages(l *loop, slot uint32, body []byte) {
	if _, gaps, ok := bytes.Cut(body, []byte(`"gaps":[`)); ok && len(gaps) > 0 && gaps[0] != ']' {
		l.counters.Gaps++
	}
	for p := body; bytes.Contains(p, []byte(account.StampRun)); {
		p = l.stamped(slot, p)
	}
}
