package protocol

import (
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Reply is a message of the gateway itself; messages of channels are encoded by fanout.
type Reply struct {
	Type             string     `json:"type"`
	Channel          string     `json:"channel,omitempty"`
	ID               string     `json:"id,omitempty"`
	Code             string     `json:"code,omitempty"`
	Message          string     `json:"message,omitempty"`
	Reason           string     `json:"reason,omitempty"`
	ReconnectAfterMS int64      `json:"reconnect_after_ms,omitempty"`
	Ref              client.Ref `json:"ref,omitempty"`
}

// Bye returns the last message to a client.
func Bye(reason reasons.Close, detail string, afterMS int64) Reply {
	return Reply{Type: "bye", Reason: string(reason), Message: detail, ReconnectAfterMS: afterMS}
}

// Error codes that several protocols send.
const (
	CodeInvalidPosition = "invalid_position"
)
