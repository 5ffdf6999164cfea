package gateway

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/histogram"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/protocol/echo"
	"github.com/pushgate/pushgate/gateway/internal/protocol/longpoll"
	"github.com/pushgate/pushgate/gateway/internal/protocol/native"
	"github.com/pushgate/pushgate/gateway/internal/protocol/sse"
	"github.com/pushgate/pushgate/internal/reactor"
)

// shard puts the layers of one event loop together: connections, the requests on them, the clients
// that these make of them, and the protocols of the clients. Only its loop touches them. Other
// goroutines reach it by post.
type shard struct {
	// Immutable
	srv    *Server
	log    *slog.Logger
	conns  *conn.Set
	http   *httpconn.Server
	hub    *client.Hub
	native *native.Native
	events *sse.Events
	polls  *longpoll.Polls

	// Owned by the loop
	cfg    *settings // swapped by a reload
	limits limit.Clients
	drain  drain
	lag    histogram.Histogram // from a post to the loop to its run
}

func newShard(srv *Server, id int, listeners []conn.Listener) (s *shard, err error) {
	set := srv.live.Load()
	s = &shard{srv: srv, log: srv.log.With("shard", id), limits: limit.Clients{Started: srv.net.Started}}
	s.hub = client.New(&srv.clients, &srv.net, &set.clients, &s.limits, s.log)
	s.http = httpconn.New(&srv.requests, &set.http, &s.limits, s.log, &s.hub.Events)
	if s.conns, err = conn.New(&srv.net, listeners, &set.conns, s.log, &s.http.Events, s); err != nil {
		return nil, fmt.Errorf("shard %d: %w", id, err)
	}
	s.http.Serve(s.conns)
	s.hub.Serve(s.conns, s.http)
	s.native = native.Register(s.hub)
	s.events = sse.Register(s.hub)
	s.polls = longpoll.Register(s.hub)
	echo.Register(s.hub, func() bool { return !s.cfg.Debug.Echo })
	protocol.RegisterPublish(s.hub)
	s.use(set)
	return s, nil
}

// use applies settings to the layers.
func (s *shard) use(set *settings) {
	s.cfg = set
	s.limits.Rates = set.rates
	s.conns.Use(&set.conns)
	s.http.Use(&set.http)
	s.hub.Use(&set.clients)
	s.native.SetMost(int64(set.Limits.MessageBytes))
}

// Ready is called by the loop for a ready descriptor.
func (s *shard) Ready(k reactor.Key, ev reactor.Events) { s.conns.Ready(k, ev) }

// Turn is called by the loop after each batch of events.
func (s *shard) Turn() (more bool) {
	beats := s.conns.Advance()
	s.conns.Out.Submit()
	sends := s.hub.Deliver()
	s.conns.Out.Submit()
	reads := s.conns.ReadMore()
	responses := s.polls.Work()
	work := s.hub.Work()
	s.conns.Reap()
	return beats || sends || reads || responses || work
}

// beat advances the shard's clock. The server's ticker posts it; at is the time of the post, and
// date the value of the Date header.
func (s *shard) beat(now uint32, at time.Time, date []byte) {
	s.http.SetDate(date)
	s.polls.Forget() // the last response has the old date
	s.lag.Observe(time.Since(at))
	s.conns.Tick(now)
	s.drainStep()
	s.hub.Tick()
}

// post runs fn on the shard's loop.
func (s *shard) post(fn func()) { s.conns.Loop().Post(fn) }

// close stops the loop and cuts the remaining connections.
func (s *shard) close() { s.conns.Close() }
