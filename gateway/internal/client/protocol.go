package client

import (
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Protocol is how clients of a kind speak. Its methods are called on the loop.
type Protocol interface {
	// Name is the transport in metrics and in the operator's lists.
	Name() string
	// Form is the encoding of messages; raw asks for bare payloads.
	Form(raw bool) message.Form

	// Received takes bytes that a client has sent.
	Received(i uint32, p []byte)
	// ReadSize returns the most bytes to read at once.
	ReadSize(i uint32) int
	// HalfClosed notes that a client has closed its side and still waits for a response.
	HalfClosed(i uint32)
	// Heard notes that a client has read from its queue, and so is alive.
	Heard(i uint32)
	// Due handles a client's deadline, at which its token or its lifetime may end, see Outlived.
	Due(i uint32)

	// Unbounded reports whether a client's queue is bounded by other means.
	Unbounded() bool

	// Deliver sends messages to a subscriber; ok is false if they are to be sent as they are.
	Deliver(i uint32, b *index.Batch) (ok bool)
	// Encoded returns a missed message.
	Encoded(i uint32, m *message.Message) []byte
	// Answers reports whether a client gets its messages in one response: then missed ones are
	// handed to Replayed, a page of each channel.
	Answers() bool
	Replayed(w *Request, ch index.Channel, r *fanout.Replay)

	// Begun starts a subscription that waits for nothing; ok is false if it is to be confirmed.
	Begun(i uint32) (ok bool)
	// Confirm confirms a subscription, from a position on. ref is the client's name for its
	// request; first says that it is the one which opened the connection.
	Confirm(i uint32, channel, id string, ref Ref, first bool)
	// CaughtUp notes that the live messages of a channel follow, from a position on.
	CaughtUp(i uint32, at message.Position)
	// Opened notes that all channels of a client's first request are subscribed to, or waiting.
	Opened(i uint32)
	// Busy notes that a request of a client is worked on in slices, or no more.
	Busy(i uint32, busy bool)
	// Refuse sends an error for a channel; ref is the client's name for its request.
	Refuse(i uint32, channel, code, text string, ref Ref)

	// Bye returns the last bytes for a client that is closed for a reason, which may reconnect
	// within a time.
	Bye(i uint32, reason reasons.Close, detail string, within time.Duration) []byte
	// Leave asks a client to reconnect elsewhere or later.
	Leave(i uint32, reason reasons.Close)
	// Dismiss closes a client for the operator.
	Dismiss(i uint32, within time.Duration)
	// Expired ends a client whose token has expired.
	Expired(i uint32)
	// Free frees what is kept for a client.
	Free(i uint32)
}

// Streams are the parts of a Protocol that are the same for all streams of messages. A protocol
// embeds it and adds Name, Form, Due, Confirm and Bye, Received if its clients speak, and what else
// it does in its own way.
type Streams struct{ Hub *Hub }

func (Streams) Received(uint32, []byte)                              {}
func (Streams) ReadSize(uint32) int                                  { return conn.ReadBuffer }
func (Streams) HalfClosed(uint32)                                    {}
func (Streams) Heard(uint32)                                         {}
func (Streams) Deliver(uint32, *index.Batch) (ok bool)               { return false }
func (Streams) Unbounded() bool                                      { return false }
func (Streams) Answers() bool                                        { return false }
func (Streams) Replayed(*Request, index.Channel, *fanout.Replay)     {}
func (Streams) Begun(uint32) (ok bool)                               { return false }
func (Streams) CaughtUp(uint32, message.Position)                    {}
func (Streams) Opened(uint32)                                        {}
func (Streams) Busy(uint32, bool)                                    {}
func (Streams) Refuse(i uint32, channel, code, text string, ref Ref) {}
func (Streams) Free(uint32)                                          {}
func (s Streams) Encoded(i uint32, m *message.Message) []byte        { return m.Encoded(s.Hub.FormOf(i)) }
func (s Streams) Leave(i uint32, reason reasons.Close) {
	s.Hub.Close(i, reason, "", s.Hub.Options.Reconnect)
}
func (s Streams) Dismiss(i uint32, within time.Duration) {
	s.Hub.Close(i, reasons.CloseAdmin, "", within)
}
func (s Streams) Expired(i uint32) {
	s.Hub.End(i, reasons.CloseToken, TokenRefused(auth.ReasonExpired))
}

// SendBeat sends a heartbeat.
func (s Streams) SendBeat(i uint32, b []byte) {
	s.Hub.Stats.Pings++
	s.Hub.Conns.Out.SendBatched(i, conn.Out{Bytes: b})
}

// none is the protocol of connections that aren't clients.
type none struct{ Streams }

func (none) Name() string                                            { return "http" }
func (none) Form(bool) message.Form                                  { return message.FormText }
func (none) Due(uint32)                                              {}
func (none) Deliver(uint32, *index.Batch) (ok bool)                  { return true }
func (none) Confirm(uint32, string, string, Ref, bool)               {}
func (none) Bye(uint32, reasons.Close, string, time.Duration) []byte { return nil }
func (n none) Leave(i uint32, _ reasons.Close)                       { n.Hub.HTTP.CloseAfter(i) } // it waits for the reply of Redis
func (n none) Dismiss(i uint32, _ time.Duration)                     { n.Hub.Conns.Release(i, reasons.CloseAdmin) }
