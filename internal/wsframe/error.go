package wsframe

import "github.com/gobwas/ws"

// Error is the reason to fail a connection. Code is the status code of the close
// frame to the peer, Text a word for it and for the log. Every value is declared
// once here, so that a peer that breaks rules doesn't cost an allocation.
type Error struct {
	Code ws.StatusCode
	Text string
}

// Error returns the text with the protocol's name before it.
func (e *Error) Error() string { return "websocket: " + e.Text }

// failure is the index of an Error, which keeps pointers out of the Reader.
type failure uint8

const (
	ok failure = iota
	failHeader
	failOpCode
	failReservedBits
	failMaskMissing
	failMasked
	failControlLength
	failControlFragment
	failStartExpected
	failContinuationExpected
	failLengthForm
	failLengthRange
	failCloseLength
	failCloseCode
	failCloseText
	failTooBig
	failText
)

var failures = [...]Error{
	failHeader:               {ws.StatusProtocolError, "bad frame header"},
	failOpCode:               {ws.StatusProtocolError, "reserved opcode"},
	failReservedBits:         {ws.StatusProtocolError, "reserved bits set without an extension"},
	failMaskMissing:          {ws.StatusProtocolError, "frame from a client is not masked"},
	failMasked:               {ws.StatusProtocolError, "frame from a server is masked"},
	failControlLength:        {ws.StatusProtocolError, "control frame over 125 bytes"},
	failControlFragment:      {ws.StatusProtocolError, "fragmented control frame"},
	failStartExpected:        {ws.StatusProtocolError, "continuation without a message"},
	failContinuationExpected: {ws.StatusProtocolError, "new message inside a fragmented one"},
	failLengthForm:           {ws.StatusProtocolError, "length not in its shortest form"},
	failLengthRange:          {ws.StatusProtocolError, "length over 63 bits"},
	failCloseLength:          {ws.StatusProtocolError, "close frame of one byte"},
	failCloseCode:            {ws.StatusProtocolError, "close code not allowed on the wire"},
	failCloseText:            {ws.StatusInvalidFramePayloadData, "close reason is not UTF-8"},
	failTooBig:               {ws.StatusMessageTooBig, "message over the limit"},
	failText:                 {ws.StatusInvalidFramePayloadData, "text is not UTF-8"},
}

// headerFailure finds the failure for an error of ws.CheckHeader.
func headerFailure(err error) failure {
	switch err {
	case nil:
		return ok
	case ws.ErrProtocolOpCodeReserved:
		return failOpCode
	case ws.ErrProtocolNonZeroRsv:
		return failReservedBits
	case ws.ErrProtocolMaskRequired:
		return failMaskMissing
	case ws.ErrProtocolMaskUnexpected:
		return failMasked
	case ws.ErrProtocolControlPayloadOverflow:
		return failControlLength
	case ws.ErrProtocolControlNotFinal:
		return failControlFragment
	case ws.ErrProtocolContinuationUnexpected:
		return failStartExpected
	case ws.ErrProtocolContinuationExpected:
		return failContinuationExpected
	}
	return failHeader
}
