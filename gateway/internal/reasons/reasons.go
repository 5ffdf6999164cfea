// Package reasons defines why connections close, requests are rejected and messages dropped: each
// reason is the metric's label, the log's attribute and, for closes, the text of the close frame.
package reasons

import "github.com/gobwas/ws"

// Close is the reason a connection ended.
type Close string

const (
	CloseByClient   Close = "client"         // the client's close frame, or its end of the stream between messages
	CloseReset      Close = "reset"          // the connection broke: reset, or cut inside a frame
	CloseTimeout    Close = "timeout"        // no response to a ping
	CloseDrain      Close = "drain"          // the gateway is shutting down
	CloseRebalance  Close = "rebalance"      // asked to reconnect, to spread over a grown fleet
	CloseAge        Close = "max_age"        // drain.max_age
	CloseAdmin      Close = "admin"          // the operator closed it
	CloseSlow       Close = "slow"           // the client's queue passed its bound
	CloseOverload   Close = "overload"       // all queues, or all unfinished requests and messages, passed theirs, and the client's was among the largest
	CloseProtocol   Close = "protocol"       // a frame against RFC 6455
	CloseBadData    Close = "bad_data"       // text that is not UTF-8
	CloseTooBig     Close = "too_big"        // a message over limits.message_bytes
	CloseToken      Close = "token"          // no token, a bad one, or it has expired; the bye says which
	CloseKeyPending Close = "key_pending"    // the key of its token isn't known yet
	CloseForbidden  Close = "forbidden"      // a channel of the request that the token doesn't allow
	CloseRate       Close = "rate_limited"   // message after message over limits.messages_per_second
	CloseNotText    Close = "not_text"       // a binary message where JSON is spoken
	CloseAnswered   Close = "answered"       // a request was answered and its connection not kept
	CloseRejected   Close = "rejected"       // the request was refused: see Reject
	CloseUnreadable Close = "head_cut"       // the stream ended before a whole request
	CloseTLS        Close = "tls"            // the TLS handshake failed or a record was bad: see TLS
	CloseInternal   Close = "internal_error" // an unexpected failure of a system call
)

// Closes lists all reasons, so that each has a counter.
var Closes = []Close{
	CloseByClient, CloseReset, CloseTimeout, CloseDrain, CloseRebalance, CloseAge, CloseAdmin, CloseSlow, CloseOverload, CloseProtocol,
	CloseBadData, CloseTooBig, CloseToken, CloseKeyPending, CloseForbidden, CloseRate, CloseNotText, CloseAnswered, CloseRejected, CloseUnreadable, CloseTLS, CloseInternal,
}

// Code returns the reason's WebSocket status code, 0 if the client can't be reached any more or
// isn't a WebSocket.
func (r Close) Code() ws.StatusCode { return closeCodes[r] }

var closeCodes = map[Close]ws.StatusCode{
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

// Reject is the reason a connection or request was rejected before it became a client.
type Reject string

const (
	RejectConnections   Reject = "connections"    // limits.connections
	RejectDescriptors   Reject = "descriptors"    // out of file descriptors
	RejectAddress       Reject = "address"        // limits.connections_per_address
	RejectAcceptRate    Reject = "accept_rate"    // limits.accepts_per_second
	RejectHandshakeRate Reject = "handshake_rate" // limits.handshakes_per_second
	RejectMessageRate   Reject = "message_rate"   // limits.messages_per_second
	RejectChannelRate   Reject = "channel_rate"   // limits.new_channels_per_second
	RejectPublishRate   Reject = "publish_rate"   // limits.publishes_per_second, limits.total_publishes_per_second
	RejectMessageSize   Reject = "message_size"   // limits.message_bytes
	RejectTotalInput    Reject = "total_input"    // limits.total_input_bytes
	RejectOverloaded    Reject = "overloaded"     // more publishes than Redis keeps up with
	RejectProxyHeader   Reject = "proxy_header"   // none, or a malformed one, from a trusted proxy
	RejectHeadTimeout   Reject = "head_timeout"   // limits.head_timeout
	RejectHeadTooLong   Reject = "head_too_long"
	RejectBadRequest    Reject = "bad_request"
	RejectNotFound      Reject = "not_found"
	RejectMethod        Reject = "method"
	RejectUpgrade       Reject = "bad_upgrade"
	RejectChannels      Reject = "channels" // too many, or a bad name
	RejectSubscriptions Reject = "total_subscriptions"
	RejectTotalChannels Reject = "total_channels"
	RejectDraining      Reject = "draining"
	RejectOrigin        Reject = "origin"
	RejectToken         Reject = "token"
	RejectKeyPending    Reject = "key_pending" // the key of its token isn't known yet
	RejectForbidden     Reject = "forbidden"   // a channel that the token doesn't allow
)

// Rejects lists all reasons, so that each has a counter.
var Rejects = []Reject{
	RejectConnections, RejectDescriptors, RejectAddress, RejectAcceptRate, RejectHandshakeRate, RejectMessageRate, RejectPublishRate,
	RejectChannelRate, RejectSubscriptions, RejectTotalChannels, RejectMessageSize, RejectTotalInput, RejectOverloaded, RejectProxyHeader, RejectHeadTimeout, RejectHeadTooLong, RejectBadRequest, RejectNotFound,
	RejectMethod, RejectUpgrade, RejectChannels, RejectDraining, RejectOrigin, RejectToken, RejectKeyPending, RejectForbidden,
}

// TLS is the reason a connection failed in its TLS layer.
type TLS string

const (
	TLSPlain       TLS = "plain_http"   // a request without TLS
	TLSNotTLS      TLS = "not_tls"      // other bytes
	TLSTimeout     TLS = "timeout"      // no handshake within limits.head_timeout
	TLSLeft        TLS = "client_left"  // the client's end in the handshake
	TLSPeerAlert   TLS = "client_alert" // an alert of the client's: it refuses the certificate, as a rule
	TLSVersion     TLS = "version"      // none in common
	TLSSuite       TLS = "cipher_suite" // none in common
	TLSProtocol    TLS = "protocol"     // ALPN without http/1.1
	TLSCertificate TLS = "certificate"  // the client's is missing or bad, or there is none for it
	TLSHandshake   TLS = "handshake"    // any other fault in it
	TLSRecord      TLS = "record"       // a bad record behind it
	TLSPartial     TLS = "partial"      // a record that was never whole
	TLSOverload    TLS = "overload"     // limits.total_input_bytes
)

// TLSFailures lists all reasons, so that each has a counter.
var TLSFailures = []TLS{
	TLSPlain, TLSNotTLS, TLSTimeout, TLSLeft, TLSPeerAlert, TLSVersion, TLSSuite, TLSProtocol, TLSCertificate, TLSHandshake, TLSRecord, TLSPartial, TLSOverload,
}

// Drop is the reason a message was not delivered to a client.
type Drop string

const (
	DropOldest  Drop = "drop_oldest"
	DropLatest  Drop = "latest"
	DropOverrun Drop = "overrun" // the gateway itself could not keep up

	// DropTooLarge is for a message too large for any client: limits.payload_bytes.
	DropTooLarge Drop = "too_large"
)

// Drops lists all reasons, so that each has a counter.
var Drops = []Drop{DropOldest, DropLatest, DropOverrun}

// Handshake is the result of a WebSocket handshake.
type Handshake string

const (
	HandshakeOK     Handshake = "ok"
	HandshakeFailed Handshake = "failed"
)

// Publish is the result of a client's publish that was passed on to Redis.
type Publish string

const (
	PublishOK     Publish = "ok"
	PublishFailed Publish = "failed" // Redis didn't respond in time, or refused it
)
