package reasons

import (
	"fmt"

	"github.com/pushgate/pushgate/gateway/http1"
)

// CodeBadRequest is the code of requests that make no sense.
const CodeBadRequest = "bad_request"

// BadRequest returns an error for such a request.
func BadRequest(format string, args ...any) *http1.Error {
	return &http1.Error{Status: 400, Code: CodeBadRequest, Message: fmt.Sprintf(format, args...)}
}

// Codes of errors over limits, which WebSocket clients get too.
const (
	CodeRateLimited     = "rate_limited"
	CodeTooManyChannels = "too_many_channels"
	CodeOverloaded      = "overloaded"
	CodeKeyPending      = "key_pending"
)

// OverLimit holds the error for each limit that a request can be over.
var OverLimit = map[Reject]*http1.Error{
	RejectConnections:   {Status: 503, Code: "too_many_connections", Message: "this gateway holds as many connections as it may"},
	RejectAddress:       {Status: 503, Code: "too_many_from_address", Message: "your address holds as many connections as it may"},
	RejectAcceptRate:    {Status: 503, Code: "too_many_connects", Message: "too many clients connect at this moment"},
	RejectHandshakeRate: {Status: 503, Code: "too_many_handshakes", Message: "too many clients connect at this moment"},
	RejectMessageRate:   {Status: 429, Code: CodeRateLimited, Message: "too many requests on this connection"},
	RejectChannelRate:   {Status: 429, Code: CodeRateLimited, Message: "too many new channels: this one, or these, were not subscribed to"},
	RejectSubscriptions: {Status: 503, Code: CodeTooManyChannels, Message: "this gateway holds as many subscriptions as it may"},
	RejectTotalChannels: {Status: 503, Code: CodeTooManyChannels, Message: "this gateway holds as many channels as it may"},
	RejectPublishRate:   {Status: 429, Code: CodeRateLimited, Message: "too many messages are published"},
	RejectTotalInput:    {Status: 503, Code: CodeOverloaded, Message: "unfinished requests of all clients take too much memory"},
	RejectKeyPending:    {Status: 503, Code: CodeKeyPending, Message: "the key of this token is not known yet"},
}
