package gateway

import (
	"encoding/json"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// gapNotice is what the subscribers of a channel are told, in order with its
// messages, when some of these may have been lost. The broker counts a gap like
// a message, so those who join behind it don't see it.
func gapNotice(channel string, g fanout.Gap) *fanout.Message {
	return gapNoticeSince(channel, g.Since.String(), g)
}

// gapNoticeSince names the position that the client asked with.
func gapNoticeSince(channel, since string, g fanout.Gap) *fanout.Message {
	text, err := json.Marshal(struct {
		Type    string           `json:"type"`
		Channel string           `json:"channel"`
		Since   string           `json:"since"`
		Reason  fanout.GapReason `json:"reason"`
	}{"gap", channel, since, g.Reason})
	if err != nil {
		panic(err) // four strings always encode
	}
	return fanout.NewNotice(channel, g.Seq-1, func(f fanout.Form) []byte {
		switch f {
		case fanout.FormText:
			return wsframe.AppendFrame(nil, ws.OpText, text)
		case fanout.FormEvent, fanout.FormRawEvent:
			return append(append([]byte("event: gap\ndata: "), text...), "\n\n"...)
		}
		return nil // bare payloads leave no room for it
	})
}
