package gateway

import "github.com/gobwas/ws"

// CloseReason says why a connection ended. The same word is the metric's
// label, the log's attribute and the text of the close frame.
type CloseReason string

const (
	CloseByClient   CloseReason = "client"         // the client's close frame, or its end of the stream between messages
	CloseReset      CloseReason = "reset"          // the connection broke: reset, or cut inside a frame
	CloseTimeout    CloseReason = "timeout"        // no answer to a ping
	CloseDrain      CloseReason = "drain"          // the gateway is shutting down
	CloseRebalance  CloseReason = "rebalance"      // asked to reconnect, to find a place in a grown fleet
	CloseAge        CloseReason = "max_age"        // drain.max_age
	CloseAdmin      CloseReason = "admin"          // the operator closed it
	CloseSlow       CloseReason = "slow"           // the client's queue passed its bound
	CloseOverload   CloseReason = "overload"       // all queues, or all unfinished requests and messages, passed theirs, and the client's was among the largest
	CloseProtocol   CloseReason = "protocol"       // a frame against RFC 6455
	CloseBadData    CloseReason = "bad_data"       // text that is not UTF-8
	CloseTooBig     CloseReason = "too_big"        // a message over limits.message_bytes
	CloseToken      CloseReason = "token"          // no token, a bad one, or it has expired; the bye says which
	CloseKeyPending CloseReason = "key_pending"    // the key of its token isn't known yet
	CloseForbidden  CloseReason = "forbidden"      // a channel of the request that the token doesn't allow
	CloseRate       CloseReason = "rate_limited"   // message after message over limits.messages_per_second
	CloseNotText    CloseReason = "not_text"       // a binary message where JSON is spoken
	CloseAnswered   CloseReason = "answered"       // a request was answered and its connection not kept
	CloseRejected   CloseReason = "rejected"       // the request was refused: see RejectReason
	CloseUnreadable CloseReason = "head_cut"       // the stream ended before a whole request
	CloseInternal   CloseReason = "internal_error" // the kernel refused what should have worked
)

// closeReasons are all of them, for those who count them.
var closeReasons = []CloseReason{
	CloseByClient, CloseReset, CloseTimeout, CloseDrain, CloseRebalance, CloseAge, CloseAdmin, CloseSlow, CloseOverload, CloseProtocol,
	CloseBadData, CloseTooBig, CloseToken, CloseKeyPending, CloseForbidden, CloseRate, CloseNotText, CloseAnswered, CloseRejected, CloseUnreadable, CloseInternal,
}

// closeCode is the WebSocket status code that a reason is sent with; reasons
// without one end connections that can't be told any more, or are no WebSocket.
var closeCode = map[CloseReason]ws.StatusCode{
	CloseTimeout:    ws.StatusGoingAway,
	CloseDrain:      1012,
	CloseRebalance:  1012,
	CloseAge:        1012,
	CloseAdmin:      ws.StatusPolicyViolation,
	CloseSlow:       4002,
	CloseOverload:   1013,
	CloseToken:      4001,
	CloseKeyPending: 1013,
	CloseForbidden:  4003,
	CloseProtocol:   ws.StatusProtocolError,
	CloseBadData:    ws.StatusInvalidFramePayloadData,
	CloseRate:       ws.StatusPolicyViolation,
	CloseTooBig:     ws.StatusMessageTooBig,
	CloseNotText:    ws.StatusUnsupportedData,
	CloseInternal:   ws.StatusInternalServerError,
}

// RejectReason says why a connection or request was turned away before it
// became a client.
type RejectReason string

const (
	RejectConnections   RejectReason = "connections"    // limits.connections
	RejectDescriptors   RejectReason = "descriptors"    // out of file descriptors
	RejectAddress       RejectReason = "address"        // limits.connections_per_address
	RejectAcceptRate    RejectReason = "accept_rate"    // limits.accepts_per_second
	RejectHandshakeRate RejectReason = "handshake_rate" // limits.handshakes_per_second
	RejectMessageRate   RejectReason = "message_rate"   // limits.messages_per_second
	RejectChannelRate   RejectReason = "channel_rate"   // limits.new_channels_per_second
	RejectPublishRate   RejectReason = "publish_rate"   // limits.publishes_per_second, limits.total_publishes_per_second
	RejectMessageSize   RejectReason = "message_size"   // limits.message_bytes
	RejectTotalInput    RejectReason = "total_input"    // limits.total_input_bytes
	RejectOverloaded    RejectReason = "overloaded"     // more to publish than Redis takes
	RejectProxyHeader   RejectReason = "proxy_header"   // none, or a malformed one, from a trusted proxy
	RejectHeadTimeout   RejectReason = "head_timeout"   // limits.head_timeout
	RejectHeadTooLong   RejectReason = "head_too_long"
	RejectBadRequest    RejectReason = "bad_request"
	RejectNotFound      RejectReason = "not_found"
	RejectMethod        RejectReason = "method"
	RejectUpgrade       RejectReason = "bad_upgrade"
	RejectChannels      RejectReason = "channels" // too many, or a bad name
	RejectSubscriptions RejectReason = "total_subscriptions"
	RejectTotalChannels RejectReason = "total_channels"
	RejectDraining      RejectReason = "draining"
	RejectOrigin        RejectReason = "origin"
	RejectToken         RejectReason = "token"
	RejectKeyPending    RejectReason = "key_pending" // the key of its token isn't known yet
	RejectForbidden     RejectReason = "forbidden"   // a channel that the token doesn't allow
)

// rejectReasons are all of them, for those who count them.
var rejectReasons = []RejectReason{
	RejectConnections, RejectDescriptors, RejectAddress, RejectAcceptRate, RejectHandshakeRate, RejectMessageRate, RejectPublishRate,
	RejectChannelRate, RejectSubscriptions, RejectTotalChannels, RejectMessageSize, RejectTotalInput, RejectOverloaded, RejectProxyHeader, RejectHeadTimeout, RejectHeadTooLong, RejectBadRequest, RejectNotFound,
	RejectMethod, RejectUpgrade, RejectChannels, RejectDraining, RejectOrigin, RejectToken, RejectKeyPending, RejectForbidden,
}
