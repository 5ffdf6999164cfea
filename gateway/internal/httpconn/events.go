package httpconn

import (
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Events are what happens to a server's connections. It is their conn.Handler.
type Events struct{ server *Server }

// Accepted begins a connection.
func (h *Events) Accepted(i uint32) { *h.server.exchanges.At(i) = exchange{phase: phaseHead} }

// ReadRequests is the size of a read that may hold requests, so that one client's take the loop a
// few milliseconds at most.
const ReadRequests = 16 << 10

// ReadSize returns how much to read from a connection at once.
func (h *Events) ReadSize(i uint32) int {
	switch h.server.at(i).phase {
	case phaseHead: // room to see the headers of an oversized head
		return max(ReadRequests, 2*h.server.options.HeadBytes)
	case phaseUpgraded:
		return h.server.above.ReadSize(i)
	case phaseBody:
		return conn.ReadBuffer
	}
	return ReadRequests
}

// Received takes bytes of a connection.
func (h *Events) Received(i uint32, p []byte) {
	switch e := h.server.at(i); e.phase {
	case phaseHead:
		h.server.head(i, e, p)
	case phaseBody:
		h.server.Bodies.body(i, e, p)
	case phaseServing:
		h.server.conns.Input.KeepUpTo(i, p, MaxPipelined)
	case phaseStreaming, phaseUpgraded:
		h.server.above.Received(i, p)
	}
}

// Due handles the deadline of a connection.
func (h *Events) Due(i uint32) {
	switch e := h.server.at(i); e.phase {
	case phaseHead, phaseBody:
		if e.phase == phaseHead && h.server.conns.Reading.IsHalf(i) && !h.server.conns.Out.Queued(i) {
			h.server.conns.Release(i, reasons.CloseByClient)
			return
		}
		h.server.headTimeout(i, e)
	default:
		h.server.above.Due(i)
	}
}

// Progress gives a client that reads its response the time for its next request.
func (h *Events) Progress(i uint32) {
	if h.server.at(i).phase != phaseHead {
		h.server.above.Progress(i)
		return
	}
	if !h.server.leaving {
		h.server.conns.Clock.Set(i, h.server.conns.Clock.Now()+conn.Ticks(h.server.options.IdleTimeout))
	}
}

// Drained continues with the requests behind a response that was queued.
func (h *Events) Drained(i uint32) {
	switch e := h.server.at(i); {
	case e.phase > phaseBody && e.phase < phaseClosed:
		h.server.above.Drained(i)
	case e.phase == phaseHead && h.server.conns.Input.IsKeeping(i):
		h.server.conns.Out.Cork(i)
		h.server.head(i, e, nil)
		h.server.conns.Out.Uncork(i)
	}
	h.server.endHalf(i)
}

// Lossy is the clients' concern.
func (h *Events) Lossy(i uint32, o *conn.Out) (kind queue.Kind, ok bool) {
	return h.server.above.Lossy(i, o)
}

// Overflow is the clients' concern: a response may be of any size.
func (h *Events) Overflow(i uint32, q *queue.Queue) {
	if e := h.server.at(i); e.phase > phaseBody {
		h.server.above.Overflow(i, q)
	}
}

// Evict closes a connection because all queues take too much memory.
func (h *Events) Evict(i uint32) {
	if h.server.at(i).phase > phaseBody {
		h.server.above.Evict(i)
		return
	}
	h.server.conns.Release(i, reasons.CloseOverload) // a response is all or nothing
}

// EvictInput closes a connection because all inputs take too much memory.
func (h *Events) EvictInput(i uint32) {
	h.server.request = http1.Request{}
	switch e := h.server.at(i); {
	case e.phase == phaseUpgraded:
		h.server.Refuse.Count(reasons.RejectTotalInput)
		h.server.above.Evict(i)
	case e.phase > phaseBody, h.server.conns.Out.Queued(i): // a pipelined request
		h.server.Refuse.Count(reasons.RejectTotalInput)
		h.server.conns.Release(i, reasons.CloseOverload)
	default:
		if e.phase == phaseHead {
			h.server.cors.setPage(i, e, h.server.cors.pageIn(h.server.conns.Input.Kept(i)))
		}
		h.server.Refuse.Over(i, reasons.RejectTotalInput)
	}
	h.server.Bodies.free(i)
	h.server.above.GiveUp(i)
}

// Closed notes that a connection has ended.
func (h *Events) Closed(i uint32, reason reasons.Close) {
	h.server.above.Closed(i, reason)
	h.server.at(i).phase = phaseClosed
}

// Reaped frees all that is kept for a closed connection.
func (h *Events) Reaped(i uint32) {
	h.server.above.Reaped(i)
	h.server.Bodies.free(i)
	h.server.limits.Clear(i)
	h.server.cors.pages.of.Clear(i)
}

// BadProxyHeader refuses a connection of a trusted proxy that doesn't name its client.
func (h *Events) BadProxyHeader(i uint32, err error) {
	h.server.request = http1.Request{}
	h.server.Refuse.Request(i, reasons.RejectProxyHeader, &http1.Error{Status: 400, Code: "bad_proxy_header", Message: err.Error()}, nil)
}

// errPlain is the response to a request without TLS where it is expected.
var errPlain = &http1.Error{Status: 400, Code: "plain_on_tls_port", Message: "this port speaks TLS: use https:// or wss://"}

// PlainOnTLS refuses a client that doesn't speak TLS where it is expected.
func (h *Events) PlainOnTLS(i uint32) {
	h.server.request = http1.Request{}
	h.server.Refuse.Request(i, reasons.RejectBadRequest, errPlain, nil)
}

// OverAddress has the next request refused, because its client's address has too many connections.
// The response depends on the request, which proxies rarely send in the same packet as their
// header.
func (h *Events) OverAddress(i uint32) {
	h.server.at(i).flags |= flagOver
	h.server.conns.Clock.Set(i, h.server.conns.Clock.Now()+conn.RejectTicks)
}
