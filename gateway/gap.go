package gateway

import (
	"encoding/json"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// gapNotice is what the subscribers of a channel are told, in order with its
// messages, when some of these may have been lost. The broker counts a gap like
// a message, so those who join behind it don't see it.
func gapNotice(channel string, g fanout.Gap) *message.Message {
	return gapNoticeSince(channel, g.Since.String(), g)
}

// gapNoticeSince names the position that the client asked with.
func gapNoticeSince(channel, since string, g fanout.Gap) *message.Message {
	text, err := json.Marshal(struct {
		Type    string           `json:"type"`
		Channel string           `json:"channel"`
		Since   string           `json:"since"`
		Reason  fanout.GapReason `json:"reason"`
	}{"gap", channel, since, g.Reason})
	if err != nil {
		panic(err) // four strings always encode
	}
	return message.NewNotice(channel, g.Seq-1, func(f message.Form) []byte {
		switch f {
		case message.FormText:
			return wsframe.AppendFrame(nil, ws.OpText, text)
		case message.FormEvent, message.FormRawEvent:
			return append(append([]byte("event: gap\ndata: "), text...), "\n\n"...)
		}
		return nil // bare payloads leave no room for it
	})
}
