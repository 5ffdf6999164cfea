// Package websocket speaks RFC 6455 with a loop's clients: handshakes, frames, heartbeats and close
// codes. A Language gives the messages their meaning; there can be several languages.
package websocket

import (
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// Language is what clients speak in their WebSockets' messages.
type Language interface {
	// Data takes a piece of a message.
	Data(i uint32, ev wsframe.Event)
	// TooFast notes that a ping, or a number of fragments, is over the client's rate, see
	// Sockets.TooFast.
	TooFast(i uint32)
}

// Flags of a client in its Own.Flags. Languages have the others, from FlagLanguage on.
const (
	flagPinged  = 1 << iota // a ping is unanswered and nothing was heard since
	flagProbing             // its deadline is the check for the pong
	FlagLanguage
)

// readMessages is the size of a read that may hold messages, so that one client's take the loop a
// few milliseconds at most. The rest of a started frame is read whole, since it is one message.
const readMessages = 16 << 10

// Sockets are the WebSockets of one language on a loop. It has the parts of client.Protocol that all
// languages share.
type Sockets struct {
	client.Streams
	Kind     client.Kind // set when the language is registered
	language Language

	start   wsframe.Reader             // initial state between messages
	fresh   wsframe.Reader             // working copy for bytes between messages
	partial slab.ByKey[wsframe.Reader] // of clients amid a message
	behind  map[uint32][]byte          // input behind a request that is worked on
	upgrade upgrade
	scratch []byte
	awaited bool // the client being read from was pinged and hasn't responded yet
}

// partialBytes is the memory of a frame's state.
const partialBytes = int(unsafe.Sizeof(wsframe.Reader{})) + slab.EntryBytes

// Init prepares the sockets for a language; most is the length of the longest message.
func (s *Sockets) Init(h *client.Hub, l Language, most int64) {
	s.Hub, s.language, s.behind = h, l, make(map[uint32][]byte)
	s.upgrade.init()
	s.SetMost(most)
}

// SetMost sets the length of the longest message, for those that begin later.
func (s *Sockets) SetMost(most int64) { s.start = wsframe.NewReader(wsframe.Server, most) }

// ReadSize returns how much to read from a client at once.
func (s *Sockets) ReadSize(i uint32) int {
	if partial := s.partial.Get(i); partial != nil {
		return max(readMessages, int(min(partial.Left(), conn.ReadBuffer)))
	}
	return readMessages
}

// Received takes bytes of a client.
func (s *Sockets) Received(i uint32, p []byte) {
	own := s.Hub.Own(i)
	s.awaited = own.Flags&flagPinged != 0
	own.Flags &^= flagPinged
	s.Frames(i, p)
}

// Heard notes that a client is alive.
func (s *Sockets) Heard(i uint32) { s.Hub.Own(i).Flags &^= flagPinged }

// FramesPerMessage is the number of frames that count as a message: a client may send fragments
// without data.
const FramesPerMessage = 100

// Frames processes bytes of an open WebSocket.
func (s *Sockets) Frames(i uint32, p []byte) {
	if s.Hub.Tasks.Of(i) != nil {
		s.keepBehind(i, p)
		return
	}
	reader := &s.fresh
	if partial := s.partial.Get(i); partial != nil {
		reader = partial
	} else {
		*reader = s.start
	}
	for len(p) > 0 {
		ev, n, err := reader.Next(p)
		if err != nil {
			s.badFrame(i, err.(*wsframe.Error))
			return
		}
		p = p[n:]
		switch ev.Kind {
		case wsframe.Data:
			s.language.Data(i, ev)
		case wsframe.Ping:
			if !s.WithinRate(i) {
				s.language.TooFast(i)
				break
			}
			s.scratch = wsframe.AppendFrame(s.scratch[:0], ws.OpPong, ev.Payload)
			s.Hub.Conns.Out.SendCopy(i, s.scratch)
		case wsframe.Pong:
			if s.awaited {
				s.awaited = false
			} else if !s.WithinRate(i) {
				s.language.TooFast(i)
			}
		case wsframe.Close:
			s.echoClose(i, ev.Code)
		}
		if !s.Hub.IsOpen(i) {
			return
		}
		if s.Hub.Tasks.Of(i) != nil {
			s.keepBehind(i, p)
			break
		}
	}
	for range reader.TakeFrames(FramesPerMessage) {
		if s.WithinRate(i) {
			continue
		}
		if s.language.TooFast(i); !s.Hub.IsOpen(i) {
			return
		}
	}
	if reader.Idle() {
		s.freePartial(i)
		s.Hub.Conns.Input.Free(i)
		return
	}
	if reader == &s.fresh {
		*s.partial.Take(i) = *reader
		s.Hub.Conns.Input.Hold(i, partialBytes)
		s.Hub.Conns.Input.Keep(i, nil, 0)
	}
}

// Gather returns a whole text message; ok is false for a piece of one that isn't complete. A message
// that is whole in the read buffer is used there; the pieces of others are kept.
func (s *Sockets) Gather(i uint32, ev wsframe.Event) (text []byte, ok bool) {
	if len(s.Hub.Conns.Input.Kept(i)) == 0 && ev.Final {
		return ev.Payload, true
	}
	text = s.Hub.Conns.Input.Keep(i, ev.Payload, s.Hub.Options.MessageBytes)
	if ev.Final {
		s.Hub.Conns.Input.Empty(i)
	}
	return text, ev.Final
}

// WithinRate charges the client for a message.
func (s *Sockets) WithinRate(i uint32) bool { return s.Hub.Limits.Message(i, s.Hub.Conns.Age(i)) }

// TooFast counts a message over the client's rate, which is dropped. It closes a client that ignores
// its errors, and reports whether the client is to get one.
func (s *Sockets) TooFast(i uint32) (stays bool) {
	s.Hub.HTTP.Refuse.Count(reasons.RejectMessageRate)
	if s.Hub.Limits.Strike(i) {
		s.Hub.End(i, reasons.CloseRate, "")
		return false
	}
	return true
}

// Busy has a client's later messages wait for the request that is worked on, so that replies stay in
// order.
func (s *Sockets) Busy(i uint32, busy bool) {
	if busy {
		s.Hub.Conns.Reading.Pause(i)
		return
	}
	s.Hub.Conns.Reading.Resume(i)
}

// keepBehind keeps input behind the request that is worked on.
func (s *Sockets) keepBehind(i uint32, p []byte) {
	if len(p) == 0 {
		return
	}
	rest := s.behind[i]
	before := cap(rest)
	rest = append(rest, p...)
	s.behind[i] = rest
	s.Hub.Conns.Input.Hold(i, cap(rest)-before)
}

// Behind returns the number of clients with such input.
func (s *Sockets) Behind() int { return len(s.behind) }

// freeBehind frees that input and returns it.
func (s *Sockets) freeBehind(i uint32) []byte {
	rest := s.behind[i]
	if rest != nil {
		delete(s.behind, i)
		s.Hub.Conns.Input.Hold(i, -cap(rest))
	}
	return rest
}

// Continue handles the input behind a request that is done.
func (s *Sockets) Continue(i uint32) {
	if rest := s.freeBehind(i); len(rest) > 0 {
		s.Hub.Conns.Out.Cork(i)
		s.Frames(i, rest)
		s.Hub.Conns.Out.Uncork(i)
	}
}

// Opened continues behind a client's first request.
func (s *Sockets) Opened(i uint32) { s.Continue(i) }

// freePartial frees the state of a client's frame.
func (s *Sockets) freePartial(i uint32) {
	if s.partial.Get(i) != nil {
		s.partial.Free(i)
		s.Hub.Conns.Input.Hold(i, -partialBytes)
	}
}

// Free frees what is kept for a client.
func (s *Sockets) Free(i uint32) {
	s.freePartial(i)
	s.freeBehind(i)
}

// badFrame fails the connection for an invalid frame.
func (s *Sockets) badFrame(i uint32, err *wsframe.Error) {
	reason := reasons.CloseProtocol
	switch err.Code {
	case ws.StatusMessageTooBig:
		reason = reasons.CloseTooBig
		s.Hub.HTTP.Refuse.Count(reasons.RejectMessageSize)
	case ws.StatusInvalidFramePayloadData:
		reason = reasons.CloseBadData
	}
	s.Hub.End(i, reason, err.Text)
}

// echoClose ends an open WebSocket at the client's request, echoing its code (RFC 6455, 5.5.1).
func (s *Sockets) echoClose(i uint32, code ws.StatusCode) {
	last := wsframe.AppendFrame(nil, ws.OpClose, nil)
	if code != ws.StatusNoStatusRcvd {
		last = wsframe.AppendClose(nil, code, "")
	}
	s.Hub.Conns.Finish(i, reasons.CloseByClient, last)
}

// Bye returns the close frame with the reason's code and word.
func (s *Sockets) Bye(_ uint32, reason reasons.Close, _ string, _ time.Duration) []byte {
	return wsframe.AppendClose(nil, reason.Code(), string(reason))
}

// PingFrame is an unmasked ping without payload (RFC 6455, 5.5.2).
var PingFrame = []byte{0x80 | byte(ws.OpPing), 0}

// Spread schedules the first heartbeat of a client, so that those of all are even.
func (s *Sockets) Spread(i uint32) {
	s.Hub.Life.Schedule(i, s.Hub.Conns.Clock.Spread(conn.Ticks(s.Hub.Options.HeartbeatInterval)))
}

// Due pings a client that was silent for half an interval, or closes it when it didn't respond to
// the last ping. The check for the pong doesn't shift the interval, so connections stay evenly
// spread.
func (s *Sockets) Due(i uint32) {
	if s.Hub.Life.Outlived(i) {
		return
	}
	own, now := s.Hub.Own(i), s.Hub.Conns.Clock.Now()
	interval := conn.Ticks(s.Hub.Options.HeartbeatInterval)
	timeout := conn.Ticks(s.Hub.Options.HeartbeatTimeout)
	switch {
	case own.Flags&flagPinged != 0:
		s.Hub.End(i, reasons.CloseTimeout, "")
	case own.Flags&flagProbing != 0:
		own.Flags &^= flagProbing
		s.Hub.Life.Schedule(i, now+max(1, interval-min(interval, timeout)))
	case now-s.Hub.Conns.Slots.Heard(i) < interval/2:
		s.Hub.Life.Schedule(i, now+interval)
	default:
		own.Flags |= flagPinged | flagProbing
		s.Hub.Life.Schedule(i, now+timeout)
		s.SendBeat(i, PingFrame)
	}
}

// TokenMissing ends a client that hasn't shown its token in time.
func (s *Sockets) TokenMissing(i uint32) {
	s.Hub.End(i, reasons.CloseToken, client.TokenRefused(auth.ReasonMissing))
}
