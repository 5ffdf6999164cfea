package gateway

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// retryMS is a stream's reconnect delay, give or take a third, unless a bye sets another: clients
// cut off together, by a proxy or a crash, don't reconnect together.
const retryMS = 3000

// drawRetry returns a random reconnect delay for a stream.
func drawRetry() int64 { return retryMS*2/3 + rand.Int64N(retryMS*2/3) }

const eventStream = "text/event-stream"

// eventLines keep proxies from buffering the stream.
const eventLines = "X-Accel-Buffering: no\r\n"

// events responds to GET /v1/sse with a stream of server-sent events, as the HTML standard defines
// them (section 9.2). The stream ends with the connection, without chunked framing: the messages'
// encodings are shared by all clients.
func (s *shard) events(i uint32, c *client) {
	p, err := s.query()
	if err == nil {
		err = s.allowed(c, &p)
	}
	if err != nil {
		s.refuseParams(i, c, err)
		return
	}
	if over := s.roomFor(i, &p); over != "" {
		s.refuseOver(i, c, over)
		return
	}
	o := s.connOptions(i, c)
	o.ContentType = eventStream
	o.Lines = []byte(eventLines)
	if string(s.request.Method) == "HEAD" {
		s.conns.Finish(i, reasons.CloseAnswered, http1.AppendStream(nil, 200, o))
		return
	}
	s.scratch = http1.AppendStream(s.scratch[:0], 200, o)
	s.scratch = append(appendRetry(s.scratch, drawRetry()), '\n')
	s.open(c, kindEvents, p.raw)
	s.schedule(i, c, s.conns.Spread(conn.Ticks(s.cfg.Heartbeat.Interval)))
	if len(p.channels) > 1 { // until all channels have begun, events have no id
		var set *poll
		c.poll, set = s.polls.Take()
		set.pending = len(p.channels)
	}
	s.conns.SendCopy(i, s.scratch)
	s.subscribeAll(i, c, &p)
}

// eventsCaughtUp notes that one of several channels of a stream has begun at a position, or has
// caught up to it. Until all of them have, events have no id: a client that is cut off would resume
// from one channel's id, which hides the missed messages of the others. After that the stream as a
// whole is at the latest of the channels' positions.
func (s *shard) eventsCaughtUp(i uint32, c *client, at message.Position) {
	if c.poll == 0 {
		return
	}
	set := s.polls.At(c.poll)
	if set.resume.At.Time() <= at.Time() {
		set.resume.At = at
	}
	if set.pending--; set.pending > 0 {
		return
	}
	last := set.resume.At
	s.freePoll(c)
	s.scratch = append(last.AppendTo(append(s.scratch[:0], "id: "...)), "\n\n"...)
	s.conns.SendCopy(i, s.scratch)
}

// deliverWithoutID delivers messages to a stream of which not all channels have begun.
func (s *shard) deliverWithoutID(i uint32, c *client, b *index.Batch) {
	form := c.form()
	for _, m := range b.Messages() {
		if !m.Notice() {
			s.stats.deliveries++
		}
		s.conns.Send(i, conn.Out{Bytes: withoutID(m.Encoded(form)), Message: m})
	}
}

// withoutID returns an encoded event without its id, which is its first line.
func withoutID(event []byte) []byte {
	if !bytes.HasPrefix(event, []byte("id: ")) {
		return event
	}
	return event[bytes.IndexByte(event, '\n')+1:]
}

var errNoChannels = badRequest("name the channels: channels=a,b")

// eventSubscribed confirms a stream's subscription. The event has an id to resume from only where
// it can't hide pending messages of another channel.
func (s *shard) eventSubscribed(w *waiter, c *client, channel, id string) {
	if c.flags&flagRaw != 0 {
		return
	}
	b := s.scratch[:0]
	if c.poll == 0 {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	s.scratch = appendEvent(b, reply{Type: "subscribed", Channel: channel, ID: id})
	s.conns.Send(w.slot, conn.Out{Bytes: s.scratch, Own: true, History: w.first})
}

// appendEvent appends r as an event of its type.
func appendEvent(dst []byte, r reply) []byte {
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

// eventHeartbeatText is a comment, which clients ignore.
var eventHeartbeatText = []byte(":\n\n")

// eventHeartbeat keeps intermediaries from closing an idle stream. The client can't respond; the
// kernel reports that it's gone, when the heartbeat isn't acknowledged for socket.user_timeout.
func (s *shard) eventHeartbeat(i uint32, c *client) {
	s.schedule(i, c, s.conns.Now()+conn.Ticks(s.cfg.Heartbeat.Interval))
	s.stats.pings++
	s.conns.SendBatched(i, conn.Out{Bytes: eventHeartbeatText})
}
