package client

import (
	"bytes"
	"slices"

	"github.com/pushgate/pushgate/internal/chunked"
	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// sse is an EventSource: one GET whose answer never ends.
type sse struct{}

// maxEvent bounds an event that is not yet whole.
const maxEvent = plan.MaxMessage

func (t sse) appendRequest(l *loop, dst []byte, slot uint32) []byte {
	i := l.number(slot)
	dst = l.plan.AppendFields(l.plan.AppendGet(dst, i), i)
	if id := l.cursor(slot); len(id) > 0 {
		dst = append(append(append(dst, "Last-Event-ID: "...), id...), '\r', '\n')
		if l.plan.ChannelSet.PerClient() > 1 {
			l.cameBack[slot] = l.engine.Clock.Now()
		}
	}
	accept := "*/*"
	if l.plan.Foreign {
		accept = "text/event-stream"
	}
	// A gateway answers a client that asks for an event stream by name with a stream,
	// with no status to count it by.
	return append(append(append(dst, "Accept: "...), accept...), "\r\nCache-Control: no-store\r\n\r\n"...)
}

func (t sse) received(l *loop, slot uint32, p []byte) {
	if l.clients[slot].state != opening {
		t.body(l, slot, p)
		return
	}
	h, rest, ok := l.answered(slot, p, 200)
	switch {
	case !ok:
	case !h.is("text/event-stream"):
		l.end(slot, account.ReasonContentType)
	default:
		if h.chunked {
			l.clients[slot].flags |= chunkedBody
		}
		rest = l.accepted(slot, h, rest)
		if l.plan.Foreign {
			l.greet(slot)
		}
		t.body(l, slot, rest)
	}
}

// body takes the answer's body, taking off the chunked coding where there is
// one.
func (t sse) body(l *loop, slot uint32, p []byte) {
	if l.clients[slot].flags&chunkedBody == 0 {
		t.events(l, slot, p)
		l.tidy(slot)
		return
	}
	var coding chunked.Decoder
	if s := l.heldScratch(slot); s != nil {
		coding = s.chunks
	}
	for len(p) > 0 {
		piece, n, ok := coding.Next(p)
		switch {
		case !ok:
			l.end(slot, account.ReasonBody)
			return
		case coding.Done():
			l.endOfStream(slot, account.ReasonCut)
			return
		}
		t.events(l, slot, piece)
		if l.clients[slot].state == gone {
			return
		}
		p = p[n:]
	}
	if s := l.heldScratch(slot); s != nil {
		s.chunks = coding
	} else if !coding.Idle() {
		l.scratch(slot).chunks = coding
	}
	l.tidy(slot)
}

// events takes whole events out of the stream; the rest waits in the
// client's scratch.
func (t sse) events(l *loop, slot uint32, p []byte) {
	s := l.heldScratch(slot)
	if s != nil && len(s.in) > 0 {
		// The end of an event may have been split.
		from := max(len(s.in)-1, 0)
		s.in = append(s.in, p...)
		if len(s.in) > maxEvent {
			l.end(slot, account.ReasonBodySize)
			return
		}
		i := bytes.Index(s.in[from:], []byte("\n\n"))
		if i < 0 {
			return
		}
		end := from + i
		t.event(l, slot, s.in[:end])
		if l.clients[slot].state == gone {
			return
		}
		// The rest was in this read and is at the end of p.
		p = p[len(p)-(len(s.in)-end-2):]
		s.in = s.in[:0]
	}
	for len(p) > 0 {
		event, rest, whole := bytes.Cut(p, []byte("\n\n"))
		if !whole {
			s := l.scratch(slot)
			s.in = append(s.in, p...)
			return
		}
		t.event(l, slot, event)
		if l.clients[slot].state == gone {
			return
		}
		p = rest
	}
}

// event takes the lines of one event. The data is the same object as over
// WebSocket; a longer one may be spread over several data lines.
func (t sse) event(l *loop, slot uint32, p []byte) {
	var data []byte
	lines := 0
	for line := range bytes.SplitSeq(p, []byte("\n")) {
		if len(line) > 0 && line[0] == ':' {
			l.counters.Pings++
			continue
		}
		if id, ok := bytes.CutPrefix(line, []byte("id:")); ok {
			l.setCursor(slot, bytes.TrimPrefix(id, []byte(" ")))
			continue
		}
		if ms, ok := bytes.CutPrefix(line, []byte("retry:")); ok {
			// When to retry, should the stream be the server's way to put the client off.
			if wait, ok := away(bytes.TrimPrefix(ms, []byte(" "))); ok && l.clients[slot].state == joining {
				l.scratch(slot).retry = wait
			}
			continue
		}
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		switch lines {
		case 0:
			data = value
		case 1:
			data = slices.Concat(data, []byte("\n"), value)
		default:
			data = append(append(data, '\n'), value...)
		}
		lines++
	}
	if lines > 0 {
		l.message(slot, data)
	}
}
