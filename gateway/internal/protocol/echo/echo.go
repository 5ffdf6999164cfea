// Package echo sends a WebSocket's text and binary messages back, for conformance suites.
package echo

import (
	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/protocol/websocket"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// Path is the endpoint.
const Path = "/debug/echo"

// MaxMessage is the longest message that is echoed.
const MaxMessage = 16 << 20

// flagBegun: a part of the message is echoed already.
const flagBegun = websocket.FlagLanguage

// Echo is the protocol. Its clients have no channels.
type Echo struct {
	websocket.Sockets
	scratch []byte
}

// Register adds the endpoint to a loop; off reports whether it doesn't exist at present.
func Register(h *client.Hub, off func() bool) {
	e := new(Echo)
	e.Init(h, e, MaxMessage)
	e.Kind = h.Register(e)
	h.HTTP.Handle(&httpconn.Route{Path: Path, Methods: []string{"GET"}, Endpoint: e, Off: off})
}

func (*Echo) Name() string { return "echo" }

// Form is not used: no messages of channels are sent.
func (*Echo) Form(bool) message.Form { return message.FormRaw }

// Confirm is not called: there are no channels.
func (*Echo) Confirm(uint32, string, string, client.Ref, bool) {}

// Unbounded: nothing more is read from a client with queued output, so the queue holds at most the
// echo of one read.
func (*Echo) Unbounded() bool { return true }

// ReadSize has the loop read as much as it can.
func (*Echo) ReadSize(uint32) int { return conn.ReadBuffer }

// Serve accepts a handshake.
func (e *Echo) Serve(i uint32, rest []byte) (left []byte) {
	if !e.Hub.Rights.Authorize(i, protocol.Token(e.Hub)) {
		return nil
	}
	answer, ok := e.Accept(i)
	if !ok {
		return nil
	}
	e.Open(i, true)
	e.Hub.Conns.Reading.ReadAlone(i)
	e.Spread(i)
	e.Hub.Conns.Out.SendCopy(i, answer)
	if len(rest) > 0 {
		e.Frames(i, rest)
	}
	return nil
}

// Data echoes a piece of a message as a fragment, so that nothing is gathered however long the
// message is.
func (e *Echo) Data(i uint32, ev wsframe.Event) {
	op, own := ev.Op, e.Hub.Own(i)
	if own.Flags&flagBegun != 0 {
		op = ws.OpContinuation
	}
	own.Flags &^= flagBegun
	if !ev.Final {
		own.Flags |= flagBegun
	}
	e.scratch = wsframe.AppendHeader(e.scratch[:0], op, ev.Final, len(ev.Payload))
	e.scratch = append(e.scratch, ev.Payload...)
	e.Hub.Conns.Out.SendCopy(i, e.scratch)
}

// TooFast drops a ping.
func (e *Echo) TooFast(i uint32) { e.Sockets.TooFast(i) }
