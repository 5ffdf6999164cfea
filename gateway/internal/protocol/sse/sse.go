// Package sse serves streams of server-sent events, as the HTML standard defines them (section 9.2).
package sse

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

const eventStream = "text/event-stream"

// streamLines keep proxies from buffering the stream.
const streamLines = "X-Accel-Buffering: no\r\n"

// Events is the protocol.
type Events struct {
	client.Streams
	kind    client.Kind
	opening slab.ByKey[opening]
	scratch []byte
}

// flagOpening: not all channels of the stream have begun, see opening.
const flagOpening = 1

// opening is the state of a stream of which not all channels have begun or caught up.
type opening struct {
	left int // channels
	at   message.Position
}

// Register adds the endpoint to a loop.
func Register(h *client.Hub) *Events {
	e := &Events{Streams: client.Streams{Hub: h}}
	e.kind = h.Register(e)
	h.HTTP.Handle(&httpconn.Route{Path: "/v1/sse", Methods: []string{"GET", "HEAD"}, Endpoint: e, Handshake: true, Later: appendLater})
	return e
}

func (*Events) Name() string { return "sse" }

// Form is an event, or one with a bare payload.
func (*Events) Form(raw bool) message.Form {
	if raw {
		return message.FormRawEvent
	}
	return message.FormEvent
}

// Serve responds to GET /v1/sse. The stream ends with the connection, without chunked framing: the
// messages' encodings are shared by all clients.
func (e *Events) Serve(i uint32, rest []byte) (left []byte) {
	if !e.Hub.Rights.Authorize(i, protocol.Token(e.Hub)) {
		return nil
	}
	p, err := protocol.Query(e.Hub)
	if err == nil {
		err = e.Hub.Rights.Allow(i, &p.Params)
	}
	if err != nil {
		protocol.Refuse(e.Hub, i, err)
		return rest
	}
	if over := e.Hub.Channels.RoomFor(i, &p.Params); over != "" {
		e.Hub.HTTP.Refuse.Over(i, over)
		return rest
	}
	p.Checked = true
	o := e.Hub.HTTP.OptionsOf(i)
	o.ContentType = eventStream
	o.Lines = []byte(streamLines)
	if string(e.Hub.HTTP.Request().Method) == "HEAD" {
		e.Hub.Conns.Finish(i, reasons.CloseAnswered, http1.AppendStream(nil, 200, o))
		return rest
	}
	e.scratch = http1.AppendStream(e.scratch[:0], 200, o)
	e.scratch = append(appendRetry(e.scratch, client.DrawRetry()), '\n')
	e.Hub.HTTP.Streaming(i)
	e.Hub.Open(i, e.kind, p.Raw)
	e.Hub.Life.Schedule(i, e.Hub.Conns.Clock.Spread(conn.Ticks(e.Hub.Options.HeartbeatInterval)))
	if len(p.Channels) > 1 { // until all channels have begun, events have no id
		e.Hub.Own(i).Flags |= flagOpening
		*e.opening.Take(i) = opening{left: len(p.Channels)}
	}
	e.Hub.Conns.Out.SendCopy(i, e.scratch)
	e.Hub.Channels.Open(i, &p.Params)
	return rest
}

// HalfClosed finds out whether the client is still there.
func (e *Events) HalfClosed(i uint32) { e.Hub.Conns.Out.SendBytes(i, heartbeat) }

// Unfinished returns the number of streams whose channels haven't all begun.
func (e *Events) Unfinished() int { return e.opening.Len() }

// isOpening reports whether not all channels of a stream have begun.
func (e *Events) isOpening(i uint32) bool { return e.Hub.Own(i).Flags&flagOpening != 0 }

// CaughtUp notes that one of several channels of a stream has begun at a position, or has caught up
// to it. Until all of them have, events have no id: a client that is cut off would resume from one
// channel's id, which hides the missed messages of the others. After that the stream as a whole is
// at the latest of the channels' positions.
func (e *Events) CaughtUp(i uint32, at message.Position) {
	if !e.isOpening(i) {
		return
	}
	set := e.opening.Get(i)
	if set.at.Time() <= at.Time() {
		set.at = at
	}
	if set.left--; set.left > 0 {
		return
	}
	last := set.at
	e.Free(i)
	e.scratch = append(last.AppendTo(append(e.scratch[:0], "id: "...)), "\n\n"...)
	e.Hub.Conns.Out.SendCopy(i, e.scratch)
}

// Free frees the state of a stream that is being opened.
func (e *Events) Free(i uint32) {
	if e.isOpening(i) {
		e.opening.Free(i)
		e.Hub.Own(i).Flags &^= flagOpening
	}
}

// Deliver delivers messages to a stream of which not all channels have begun.
func (e *Events) Deliver(i uint32, b *index.Batch) (ok bool) {
	if !e.isOpening(i) {
		return false
	}
	form := e.Hub.FormOf(i)
	for _, m := range b.Messages() {
		if !m.Notice() {
			e.Hub.Stats.Deliveries++
		}
		e.Hub.Conns.Out.Send(i, conn.Out{Bytes: withoutID(m.Encoded(form)), Message: m})
	}
	return true
}

// Encoded returns a missed message.
func (e *Events) Encoded(i uint32, m *message.Message) []byte {
	b := m.Encoded(e.Hub.FormOf(i))
	if e.isOpening(i) {
		b = withoutID(b)
	}
	return b
}

// withoutID returns an encoded event without its id, which is its first line.
func withoutID(event []byte) []byte {
	if !bytes.HasPrefix(event, []byte("id: ")) {
		return event
	}
	return event[bytes.IndexByte(event, '\n')+1:]
}

// Confirm confirms a subscription. The event has an id to resume from only where it can't hide
// pending messages of another channel.
func (e *Events) Confirm(i uint32, channel, id string, _ client.Ref, first bool) {
	if e.Hub.IsRaw(i) {
		return
	}
	b := e.scratch[:0]
	if !e.isOpening(i) {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	e.scratch = appendEvent(b, protocol.Reply{Type: "subscribed", Channel: channel, ID: id})
	e.Hub.Conns.Out.Send(i, conn.Out{Bytes: e.scratch, Own: true, History: first})
}

// Bye returns the reconnect delay, which an EventSource understands, and a bye with the reason. A
// client that gets bare payloads, or was closed because it doesn't read, gets no bye.
func (e *Events) Bye(i uint32, reason reasons.Close, detail string, within time.Duration) (last []byte) {
	if reason == reasons.CloseSlow {
		return nil
	}
	after := client.DrawReconnect(within)
	last = appendRetry(nil, after)
	if !e.Hub.IsRaw(i) {
		last = appendEvent(last, protocol.Bye(reason, detail, after))
	}
	return last
}

// heartbeat is a comment, which clients ignore.
var heartbeat = []byte(":\n\n")

// Due keeps intermediaries from closing an idle stream. The client can't respond; the kernel reports
// that it's gone, when the heartbeat isn't acknowledged for socket.user_timeout.
func (e *Events) Due(i uint32) {
	if e.Hub.Life.Outlived(i) {
		return
	}
	e.Hub.Life.Schedule(i, e.Hub.Conns.Clock.Now()+conn.Ticks(e.Hub.Options.HeartbeatInterval))
	e.SendBeat(i, heartbeat)
}

// An EventSource reconnects when its stream ends, but never after a status other than 200 (HTML
// standard, 9.2.3). So it gets a temporary rejection as a stream: the reconnect delay, a bye with
// the reason, and the end. A client that looks at the status gets one, unless it asks for an event
// stream by name, as every EventSource does.

// appendLater appends the stream that rejects an EventSource temporarily.
func appendLater(dst []byte, r *http1.Request, err *http1.Error, afterMS int64, o http1.Options) ([]byte, bool) {
	if string(r.Method) != "GET" || !bytes.Contains(bytes.ToLower(r.Header("Accept")), []byte(eventStream)) {
		return nil, false
	}
	o.ContentType, o.Lines = eventStream, []byte(streamLines)
	dst = appendRetry(http1.AppendStream(dst, 200, o), afterMS)
	return appendEvent(dst, protocol.Reply{Type: "bye", Reason: err.Code, Message: err.Message, ReconnectAfterMS: afterMS}), true
}

// appendEvent appends r as an event of its type.
func appendEvent(dst []byte, r protocol.Reply) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // the fields are strings and numbers
	}
	dst = append(append(append(dst, "event: "...), r.Type...), "\ndata: "...)
	return append(append(dst, text...), "\n\n"...)
}

// appendRetry appends the field that sets the reconnect delay of an EventSource, which doesn't
// understand a bye.
func appendRetry(dst []byte, ms int64) []byte {
	return append(strconv.AppendInt(append(dst, "retry: "...), ms, 10), '\n')
}
