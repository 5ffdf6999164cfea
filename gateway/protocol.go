package gateway

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/jsontext"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// command is a client's message: one JSON object in a text message.
type command struct {
	Type    string     `json:"type"`
	Channel string     `json:"channel"`
	Since   string     `json:"since"`
	Cursor  string     `json:"cursor"` // the same
	History int        `json:"history"`
	Token   string     `json:"token"`
	Data    spelled    `json:"data"`
	Ref     requestRef `json:"ref"`
}

// spelled is a JSON value in its original spelling: a slice of the decoded text, where a
// json.RawMessage is a copy. It must not outlive the text.
type spelled []byte

func (v *spelled) UnmarshalJSON(text []byte) error {
	*v = text
	return nil
}

// requestRef is a client's number or string for a request, in its original spelling, repeated in
// the reply.
type requestRef string

func (r *requestRef) UnmarshalJSON(text []byte) error {
	*r = requestRef(text)
	return nil
}

func (r requestRef) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// reply is a message of the gateway itself; messages of channels are encoded by fanout.
type reply struct {
	Type             string     `json:"type"`
	Channel          string     `json:"channel,omitempty"`
	ID               string     `json:"id,omitempty"`
	Code             string     `json:"code,omitempty"`
	Message          string     `json:"message,omitempty"`
	Reason           string     `json:"reason,omitempty"`
	ReconnectAfterMS int64      `json:"reconnect_after_ms,omitempty"`
	Ref              requestRef `json:"ref,omitempty"`
}

// Error codes sent to clients.
const (
	codeBadMessage      = "bad_message"
	codeBadRequest      = "bad_request"
	codeUnknownType     = "unknown_type"
	codeInvalidChannel  = "invalid_channel"
	codeInvalidPosition = "invalid_position"
	codeTooManyChannels = "too_many_channels"
	codeNotSubscribed   = "not_subscribed"
	codeForbidden       = "forbidden"
	codePending         = "pending"
)

// maxRef bounds the length of a ref.
const maxRef = 64

// message handles a client's text message.
func (s *shard) message(i uint32, c *client, text []byte) {
	var cmd command
	err := json.Unmarshal(text, &cmd) // fills in the other fields if one has the wrong type
	goodRef := validRef(cmd.Ref)
	if !goodRef || string(cmd.Ref) == "null" {
		cmd.Ref = ""
	}
	switch {
	case !s.withinRate(i):
		s.tooFast(i, c, &cmd)
		return
	case err != nil:
		s.refuseCommand(i, c, &cmd, codeBadMessage, "a message is one JSON object with a type: "+jsontext.Explain(err).Error())
		return
	case !goodRef:
		s.refuseCommand(i, c, &cmd, codeBadMessage, "ref is a number or a string of up to 64 bytes")
		return
	case cmd.Type == "auth":
		s.commandAuth(i, c, &cmd)
		return
	case c.flags&flagUnknown != 0:
		s.refuseCommand(i, c, &cmd, codeUnauthorized, errUnknown)
		return
	}
	switch cmd.Type {
	case "subscribe":
		s.commandSubscribe(i, c, &cmd, text)
	case "unsubscribe":
		s.unsubscribe(i, c, &cmd)
	case "publish":
		s.commandPublish(i, c, &cmd)
	case "ping":
		s.reply(i, c, reply{Type: "pong", Ref: cmd.Ref})
	default:
		s.refuseCommand(i, c, &cmd, codeUnknownType, "type is subscribe, unsubscribe, publish, auth or ping")
	}
}

// validRef reports whether ref is absent, a number or a string, and short.
func validRef(ref requestRef) bool {
	if ref == "" || ref == "null" {
		return true
	}
	first := ref[0]
	return len(ref) <= maxRef && (first == '"' || first == '-' || first >= '0' && first <= '9')
}

// reply sends r. A client that asked for bare payloads gets none: it couldn't tell a reply from a
// payload.
func (s *shard) reply(i uint32, c *client, r reply) {
	if c.flags&flagRaw != 0 {
		return
	}
	s.conns.SendCopy(i, s.replyFrame(r))
}

// replyFrame returns r as a frame, valid until the next use of the scratch
// buffer.
func (s *shard) replyFrame(r reply) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		// Only a ref that is invalid JSON fails, and each was parsed from JSON.
		panic(err)
	}
	s.scratch = wsframe.AppendFrame(s.scratch[:0], ws.OpText, text)
	return s.scratch
}

// replyError sends an error for a client's message; channel is the channel it named, empty for
// none.
func (s *shard) replyError(i uint32, c *client, channel, code, text string, ref requestRef) {
	if len(channel) > message.MaxChannelBytes {
		channel = "" // not a channel's name, and possibly very long
	}
	s.reply(i, c, reply{Type: "error", Channel: channel, Code: code, Message: text, Ref: ref})
}

// refuseCommand sends an error for cmd.
func (s *shard) refuseCommand(i uint32, c *client, cmd *command, code, message string) {
	s.replyError(i, c, cmd.Channel, code, message, cmd.Ref)
}

// commandSubscribe handles a client's subscribe; text is the whole message.
func (s *shard) commandSubscribe(i uint32, c *client, cmd *command, text []byte) {
	if err := message.ValidChannel(cmd.Channel); err != nil {
		s.refuseCommand(i, c, cmd, codeInvalidChannel, err.Error())
		return
	}
	if !s.maySubscribe(c, cmd.Channel) {
		s.refuseCommand(i, c, cmd, codeForbidden, "the token does not allow this channel")
		return
	}
	since := cmp.Or(cmd.Since, cmd.Cursor)
	w := waiter{ref: cmd.Ref}
	if since != "" {
		at, err := position.Parse(since)
		if err != nil {
			s.refuseCommand(i, c, cmd, codeInvalidPosition, err.Error())
			return
		}
		at.Narrow(cmd.Channel)
		w.asked = at.Text
		w.since, w.lost = at.Positions(cmd.Channel, s.srv.node)
	} else if key := strangePositionIn(text); key != "" {
		s.refuseCommand(i, c, cmd, codeInvalidPosition, position.MisnamedText(key, "since"))
		return
	}
	if err := s.checkHistory(cmd.History); err != nil {
		s.refuseCommand(i, c, cmd, codeBadRequest, err.Message)
		return
	}
	if len(w.since) == 0 {
		w.newest = int32(cmd.History)
	}
	s.subscribe(i, c, cmd.Channel, w)
}

// strangePositionIn returns a key of a client's message that means a position but would be ignored,
// if there is one.
func strangePositionIn(message []byte) (found string) {
	for key, value := range jsontext.Fields(message) {
		switch key := string(key); strings.ToLower(key) {
		case "type", "channel", "since", "cursor", "history", "ref", "token", "data":
			continue
		default:
			var text string
			_ = json.Unmarshal(value, &text) // a position is a string
			if position.Named(key) != position.None && string(value) != "null" || position.LooksLike(text) {
				return key
			}
		}
	}
	return ""
}

// subscribeAll subscribes a connection without channels to its request's channels, which are
// distinct: to the first of them now, to the others in the next turns.
func (s *shard) subscribeAll(i uint32, c *client, p *params) {
	n := min(len(p.channels), taskSlice)
	s.subscribeSome(i, c, p, p.channels[:n])
	switch {
	case c.phase != phaseOpen:
	case n < len(p.channels):
		left := *p
		left.channels = left.channels[n:]
		s.putOff(i, c, &task{opens: &left})
	case c.kind == kindPoll:
		s.pollConfirmed(i, c)
	}
}

// subscribeSome subscribes a connection to some of its request's channels.
func (s *shard) subscribeSome(i uint32, c *client, p *params, names []string) {
	for _, name := range names {
		if c.phase != phaseOpen {
			return
		}
		w := waiter{first: true, time: p.resume.IsTime(), asked: p.resume.Text}
		w.since, w.lost = p.resume.Positions(name, s.srv.node)
		if len(w.since) == 0 {
			w.newest = int32(p.history)
		}
		ch := s.index.Open([]byte(name))
		s.subscribed(i, c, ch, name, s.index.Add(&c.subs, i, ch), true, w)
	}
}

// replySubscribed confirms a subscription.
func (s *shard) replySubscribed(w *waiter, c *client, channel, id string) {
	if c.flags&flagRaw == 0 {
		s.conns.Send(w.slot, conn.Out{Bytes: s.frameAt("subscribed", channel, id, w.ref), Own: true, History: w.first})
	}
}

// replyAt sends a client a position in a channel.
func (s *shard) replyAt(i uint32, c *client, kind, channel, id string, ref requestRef) {
	if c.flags&flagRaw == 0 {
		s.conns.SendCopy(i, s.frameAt(kind, channel, id, ref))
	}
}

// frameAt returns a message with a position in a channel, valid until the next use of the scratch
// buffer. This and the welcome go to every client, so they are written by hand: json.Marshal takes
// 1.1 us for each.
func (s *shard) frameAt(kind, channel, id string, ref requestRef) []byte {
	b := append(append(s.spelled[:0], `{"type":"`...), kind...)
	b = append(b, `","channel":"`...)
	b = append(append(append(b, channel...), `","id":"`...), id...) // neither needs escaping
	return s.spelledFrame(append(b, '"'), ref)
}

// welcomeFrame returns the first message to a client, also the reply to a token, valid until the
// next use of the scratch buffer.
func (s *shard) welcomeFrame(i uint32, c *client, ref requestRef) []byte {
	b := append(s.spelled[:0], `{"type":"welcome","connection":"`...)
	b = s.appendConnectionID(b, i, c)
	b = append(b, `","heartbeat":`...)
	b = strconv.AppendFloat(b, s.cfg.Heartbeat.Interval.Seconds(), 'f', -1, 64)
	b = append(b, `,"max_message":`...)
	b = strconv.AppendInt(b, int64(s.cfg.Limits.MessageBytes), 10)
	if g := s.grantOf(c); g != nil && !g.Expires.IsZero() {
		b = append(b, `,"expires_in":`...)
		b = strconv.AppendInt(b, max(0, int64(time.Until(g.Expires)/time.Second)), 10)
	}
	return s.spelledFrame(b, ref)
}

// spelledFrame closes the JSON object b, with the client's ref if there is one, and returns it as a
// frame.
func (s *shard) spelledFrame(b []byte, ref requestRef) []byte {
	if ref != "" {
		b = append(append(b, `,"ref":`...), ref...)
	}
	s.spelled = append(b, '}')
	s.scratch = wsframe.AppendFrame(s.scratch[:0], ws.OpText, s.spelled)
	return s.scratch
}
