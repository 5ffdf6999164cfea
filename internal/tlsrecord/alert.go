package tlsrecord

import "fmt"

// Alert is the description of an alert that ends a connection (RFC 8446, 6): what the peer is to be
// told of its fault.
type Alert uint8

const (
	AlertCloseNotify       Alert = 0
	AlertUnexpectedMessage Alert = 10
	AlertBadRecordMAC      Alert = 20
	AlertRecordOverflow    Alert = 22
	AlertHandshakeFailure  Alert = 40
	AlertIllegalParameter  Alert = 47
	AlertDecodeError       Alert = 50
	AlertProtocolVersion   Alert = 70
	AlertInternalError     Alert = 80
	AlertUserCanceled      Alert = 90
	AlertNoRenegotiation   Alert = 100
)

var alertNames = map[Alert]string{
	AlertCloseNotify:       "close_notify",
	AlertUnexpectedMessage: "unexpected_message",
	AlertBadRecordMAC:      "bad_record_mac",
	AlertRecordOverflow:    "record_overflow",
	AlertHandshakeFailure:  "handshake_failure",
	AlertIllegalParameter:  "illegal_parameter",
	AlertDecodeError:       "decode_error",
	AlertProtocolVersion:   "protocol_version",
	AlertInternalError:     "internal_error",
	AlertUserCanceled:      "user_canceled",
	AlertNoRenegotiation:   "no_renegotiation",
}

// String returns the alert's name in the RFC.
func (a Alert) String() string {
	if name := alertNames[a]; name != "" {
		return name
	}
	return fmt.Sprintf("alert %d", uint8(a))
}

// Error makes an Alert the error of the peer's fault.
func (a Alert) Error() string { return a.String() }

// PeerAlert is the error of an alert that the peer has sent, after which nothing more is to be sent.
type PeerAlert Alert

func (a PeerAlert) Error() string { return "the peer's alert " + Alert(a).String() }

const (
	levelWarning = 1
	levelFatal   = 2
)

// AppendPlainAlert appends a fatal alert for a peer with which no keys are shared yet.
func AppendPlainAlert(dst []byte, a Alert) []byte {
	return append(dst, byte(TypeAlert), 3, 3, 0, 2, levelFatal, byte(a))
}
