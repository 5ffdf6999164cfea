package native

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// reply sends r. A client that asked for bare payloads gets none: it couldn't tell a reply from a
// payload.
func (n *Native) reply(i uint32, r protocol.Reply) {
	if !n.Hub.IsRaw(i) {
		n.Hub.Conns.Out.SendCopy(i, n.frame(r))
	}
}

// frame returns r as a frame, valid until the next use of the scratch buffer.
func (n *Native) frame(r protocol.Reply) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		// Only a ref that is invalid JSON fails, and each was parsed from JSON.
		panic(err)
	}
	n.scratch = wsframe.AppendFrame(n.scratch[:0], ws.OpText, text)
	return n.scratch
}

// Refuse sends an error for a client's message; channel is the channel it named, empty for none.
func (n *Native) Refuse(i uint32, channel, code, text string, ref client.Ref) {
	if len(channel) > message.MaxChannelBytes {
		channel = "" // not a channel's name, and possibly very long
	}
	n.reply(i, protocol.Reply{Type: "error", Channel: channel, Code: code, Message: text, Ref: ref})
}

// refuse sends an error for cmd.
func (n *Native) refuse(i uint32, cmd *command, code, text string) {
	n.Refuse(i, cmd.Channel, code, text, cmd.Ref)
}

// Confirm confirms a subscription.
func (n *Native) Confirm(i uint32, channel, id string, ref client.Ref, first bool) {
	if !n.Hub.IsRaw(i) {
		n.Hub.Conns.Out.Send(i, conn.Out{Bytes: n.frameAt("subscribed", channel, id, ref), Own: true, History: first})
	}
}

// replyAt sends a client a position in a channel.
func (n *Native) replyAt(i uint32, kind, channel, id string, ref client.Ref) {
	if !n.Hub.IsRaw(i) {
		n.Hub.Conns.Out.SendCopy(i, n.frameAt(kind, channel, id, ref))
	}
}

// frameAt returns a message with a position in a channel, valid until the next use of the scratch
// buffer. This and the welcome go to every client, so they are written by hand: json.Marshal takes
// 1.1 us for each.
func (n *Native) frameAt(kind, channel, id string, ref client.Ref) []byte {
	b := append(append(n.spelled[:0], `{"type":"`...), kind...)
	b = append(b, `","channel":"`...)
	b = append(append(append(b, channel...), `","id":"`...), id...) // neither needs escaping
	return n.spelledFrame(append(b, '"'), ref)
}

// welcome sends the first message to a client, also the reply to a token.
func (n *Native) welcome(i uint32, ref client.Ref) {
	if !n.Hub.IsRaw(i) {
		n.Hub.Conns.Out.SendCopy(i, n.WelcomeFrame(i, ref))
	}
}

// WelcomeFrame returns that message, valid until the next use of the scratch buffer.
func (n *Native) WelcomeFrame(i uint32, ref client.Ref) []byte {
	b := append(n.spelled[:0], `{"type":"welcome","connection":"`...)
	b = n.Hub.Conns.AppendID(b, i)
	b = append(b, `","heartbeat":`...)
	b = strconv.AppendFloat(b, n.Hub.Options.HeartbeatInterval.Seconds(), 'f', -1, 64)
	b = append(b, `,"max_message":`...)
	b = strconv.AppendInt(b, int64(n.Hub.Options.MessageBytes), 10)
	if g := n.Hub.Rights.Grant(i); g != nil && !g.Expires.IsZero() {
		b = append(b, `,"expires_in":`...)
		b = strconv.AppendInt(b, max(0, int64(time.Until(g.Expires)/time.Second)), 10)
	}
	return n.spelledFrame(b, ref)
}

// spelledFrame closes the JSON object b, with the client's ref if there is one, and returns it as a
// frame.
func (n *Native) spelledFrame(b []byte, ref client.Ref) []byte {
	if ref != "" {
		b = append(append(b, `,"ref":`...), ref...)
	}
	n.spelled = append(b, '}')
	n.scratch = wsframe.AppendFrame(n.scratch[:0], ws.OpText, n.spelled)
	return n.scratch
}

// Bye returns a bye with the reason and a random reconnect delay within a time, and the close frame.
// A client that gets bare payloads, or was closed because it doesn't read, gets no bye.
func (n *Native) Bye(i uint32, reason reasons.Close, detail string, within time.Duration) (last []byte) {
	if !n.Hub.IsRaw(i) && reason != reasons.CloseSlow {
		last = append(last, n.frame(protocol.Bye(reason, detail, client.DrawReconnect(within)))...)
	}
	return append(last, n.Sockets.Bye(i, reason, detail, within)...)
}
