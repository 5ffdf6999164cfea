// Package native is the gateway's own language: JSON objects in the text messages of a WebSocket.
package native

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/protocol/websocket"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/jsontext"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// flagNoToken: the client hasn't shown a token yet.
const flagNoToken = websocket.FlagLanguage

// Native is the protocol.
type Native struct {
	websocket.Sockets
	withoutToken map[uint32]*client.Params // requests of clients without a token yet
	scratch      []byte                    // for replies
	spelled      []byte                    // JSON to be framed into scratch
}

// Register adds the endpoint to a loop.
func Register(h *client.Hub) *Native {
	n := &Native{withoutToken: make(map[uint32]*client.Params)}
	n.Init(h, n, int64(h.Options.MessageBytes))
	n.Kind = h.Register(n)
	h.HTTP.Handle(&httpconn.Route{Path: "/v1/ws", Methods: []string{"GET"}, Endpoint: n, Handshake: true})
	return n
}

func (*Native) Name() string { return "websocket" }

// Form is a text frame, with a message object or its bare payload.
func (*Native) Form(raw bool) message.Form {
	if raw {
		return message.FormRaw
	}
	return message.FormText
}

// Serve handles a request for /v1/ws.
func (n *Native) Serve(i uint32, rest []byte) (left []byte) {
	answer, ok := n.Accept(i)
	if !ok {
		return nil
	}
	p, err := protocol.Query(n.Hub)
	if err != nil {
		n.Hub.HTTP.Refuse.Request(i, reasons.RejectChannels, err, nil)
		return nil
	}
	n.Open(i, p.Raw)
	n.begin(i, answer, &p.Params)
	if n.Hub.IsOpen(i) && len(rest) > 0 {
		n.Frames(i, rest)
	}
	return nil
}

// WithoutToken returns the number of clients without a token yet.
func (n *Native) WithoutToken() int { return len(n.withoutToken) }

// Data takes a piece of a message.
func (n *Native) Data(i uint32, ev wsframe.Event) {
	if ev.Op != ws.OpText {
		n.Hub.End(i, reasons.CloseNotText, "")
		return
	}
	if text, ok := n.Gather(i, ev); ok {
		n.message(i, text)
	}
}

// TooFast sends an error for a message that was dropped.
func (n *Native) TooFast(i uint32) { n.tooFast(i, &command{}) }

func (n *Native) tooFast(i uint32, cmd *command) {
	if n.Sockets.TooFast(i) {
		n.refuse(i, cmd, reasons.CodeRateLimited, "too many messages: this one was dropped")
	}
}

// Due handles a client's deadline.
func (n *Native) Due(i uint32) {
	if n.Hub.Own(i).Flags&flagNoToken != 0 && !n.Hub.Life.IsOld(i) {
		n.TokenMissing(i)
		return
	}
	n.Sockets.Due(i)
}

// Free frees what is kept for a client.
func (n *Native) Free(i uint32) {
	n.Sockets.Free(i)
	n.takeRequest(i)
}

// command is a client's message: one JSON object in a text message.
type command struct {
	Type    string     `json:"type"`
	Channel string     `json:"channel"`
	Since   string     `json:"since"`
	Cursor  string     `json:"cursor"` // the same
	History int        `json:"history"`
	Token   string     `json:"token"`
	Data    spelled    `json:"data"`
	Ref     client.Ref `json:"ref"`
}

// spelled is a JSON value in its original spelling: a slice of the decoded text, where a
// json.RawMessage is a copy. It must not outlive the text.
type spelled []byte

func (v *spelled) UnmarshalJSON(text []byte) error {
	*v = text
	return nil
}

// Error codes sent to clients.
const (
	codeBadMessage    = "bad_message"
	codeUnknownType   = "unknown_type"
	codeNotSubscribed = "not_subscribed"
)

// maxRef bounds the length of a ref.
const maxRef = 64

// message handles a client's text message.
func (n *Native) message(i uint32, text []byte) {
	var cmd command
	err := json.Unmarshal(text, &cmd) // fills in the other fields if one has the wrong type
	goodRef := validRef(cmd.Ref)
	if !goodRef || string(cmd.Ref) == "null" {
		cmd.Ref = ""
	}
	switch {
	case !n.WithinRate(i):
		n.tooFast(i, &cmd)
		return
	case err != nil:
		n.refuse(i, &cmd, codeBadMessage, "a message is one JSON object with a type: "+jsontext.Explain(err).Error())
		return
	case !goodRef:
		n.refuse(i, &cmd, codeBadMessage, "ref is a number or a string of up to 64 bytes")
		return
	case cmd.Type == "auth":
		n.auth(i, &cmd)
		return
	case n.Hub.Own(i).Flags&flagNoToken != 0:
		n.refuse(i, &cmd, client.CodeUnauthorized, errNoToken)
		return
	}
	switch cmd.Type {
	case "subscribe":
		n.subscribe(i, &cmd, text)
	case "unsubscribe":
		n.unsubscribe(i, cmd.Channel, cmd.Ref)
	case "publish":
		n.publish(i, &cmd)
	case "ping":
		n.reply(i, protocol.Reply{Type: "pong", Ref: cmd.Ref})
	default:
		n.refuse(i, &cmd, codeUnknownType, "type is subscribe, unsubscribe, publish, auth or ping")
	}
}

// validRef reports whether ref is absent, a number or a string, and short.
func validRef(ref client.Ref) bool {
	if ref == "" || ref == "null" {
		return true
	}
	first := ref[0]
	return len(ref) <= maxRef && (first == '"' || first == '-' || first >= '0' && first <= '9')
}

// subscribe handles a client's subscribe; text is the whole message.
func (n *Native) subscribe(i uint32, cmd *command, text []byte) {
	if err := message.ValidChannel(cmd.Channel); err != nil {
		n.refuse(i, cmd, publish.CodeInvalidChannel, err.Error())
		return
	}
	if !n.Hub.Rights.MaySubscribe(i, cmd.Channel) {
		n.refuse(i, cmd, client.CodeForbidden, "the token does not allow this channel")
		return
	}
	since := cmp.Or(cmd.Since, cmd.Cursor)
	w := client.Request{Ref: cmd.Ref}
	if since != "" {
		at, err := position.Parse(since)
		if err != nil {
			n.refuse(i, cmd, protocol.CodeInvalidPosition, err.Error())
			return
		}
		at.Narrow(cmd.Channel)
		w.Asked = at.Text
		w.Since, w.Lost = at.Positions(cmd.Channel, n.Hub.Net.Node)
	} else if key := strangePositionIn(text); key != "" {
		n.refuse(i, cmd, protocol.CodeInvalidPosition, position.MisnamedText(key, "since"))
		return
	}
	if err := protocol.CheckHistory(n.Hub, cmd.History); err != nil {
		n.refuse(i, cmd, reasons.CodeBadRequest, err.Message)
		return
	}
	if len(w.Since) == 0 {
		w.Newest = int32(cmd.History)
	}
	n.Hub.Channels.Subscribe(i, cmd.Channel, w)
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

// unsubscribe handles a client's unsubscribe.
func (n *Native) unsubscribe(i uint32, channel string, ref client.Ref) {
	if !n.Hub.Channels.Unsubscribe(i, channel) {
		n.Refuse(i, channel, codeNotSubscribed, "not subscribed to this channel", ref)
		return
	}
	n.reply(i, protocol.Reply{Type: "unsubscribed", Channel: channel, Ref: ref})
}

// publish handles a client's publish.
func (n *Native) publish(i uint32, cmd *command) {
	pub := publish.Publication{Channel: cmd.Channel, Data: json.RawMessage(cmd.Data)}
	key, channel, ref := n.Hub.Conns.Slots.Key(i), cmd.Channel, cmd.Ref
	err := n.Hub.Publish(i, &pub, func(id string, err error) {
		switch {
		case !n.Hub.Conns.Slots.Find(key) || !n.Hub.Is(i, n.Kind):
		case err != nil:
			n.Refuse(i, channel, publish.CodeBroker, "the message may not have been published", ref)
		default:
			n.replyAt(i, "published", channel, id, ref) // a plain message has no id yet
		}
	})
	if err != nil {
		n.refuse(i, cmd, err.Code, err.Message)
	}
}
