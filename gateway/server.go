// Package gateway is the edge of pushgate: it accepts clients on raw sockets, speaks HTTP and
// WebSocket with them, and delivers the broker's messages to their subscribers. Each connection is
// owned by one shard, of which there is one per CPU.
package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/certs"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/histogram"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/reactor"
)

// Server is one gateway.
type Server struct {
	// Immutable
	log       *slog.Logger
	broker    *fanout.Broker
	files     uint64 // the process's limit
	shards    []*shard
	addr      string
	tlsAddr   string
	lostLines func() uint64 // nil: not counted
	admin     net.Listener  // nil when turned off
	fleet     *fleet

	// What the layers of all shards share
	net      conn.Shared
	requests httpconn.Shared
	clients  client.Shared

	// Atomic
	live  atomic.Pointer[settings]  // stored under reloading
	certs atomic.Pointer[certs.Set] // stored under reloading

	configured   atomic.Int64 // when the present settings were read, in seconds since 1970
	reloadFailed atomic.Bool  // the last reload was refused
	certsFailed  atomic.Bool  // certificate files have changed and can't be used

	departure  departure        // guards itself
	roundTrips histogram.Shared // to Redis; guards itself
	garbage    garbage          // owned by tick

	reloading sync.Mutex    // held by Reload
	reloaded  chan struct{} // sent to by Reload without blocking, received by runVerifier; never closed

	stop     chan struct{} // closed by the admin listener's drain, received by Run
	stopOnce sync.Once
	failed   chan error // sent to by the shards, received by Run; never closed
}

// Options complement the configuration with a program's own settings. The zero value will do.
type Options struct {
	// Log receives the server's log; nil means slog.Default().
	Log *slog.Logger
	// LostLines, if set, returns the number of lost log lines for the metrics. It is called from
	// any goroutine.
	LostLines func() uint64
	// Node names this run of the gateway in the positions of plain messages, in lower case letters
	// and digits; if empty, a random name is used. No other run may have it, not even the next one:
	// a position counts one process's messages.
	Node string
	// TuneProcess lets the server raise the process's limit on open files, give Go's scheduler more
	// processors than there are event loops, and choose when garbage is collected. GOMAXPROCS and
	// GOGC in the environment take precedence.
	TuneProcess bool
}

// New opens the listeners and prepares the shards and the broker; cfg must be valid. The
// kernel completes connections from here on, Run serves them.
func New(cfg Config, o Options) (_ *Server, err error) {
	s := &Server{
		log:       cmp.Or(o.Log, slog.Default()),
		lostLines: o.LostLines,
		failed:    make(chan error, 1),
		stop:      make(chan struct{}),
		reloaded:  make(chan struct{}, 1),
	}
	s.fleet = newFleet(s)
	s.net.Limited, s.net.Started = limit.NewLogLimiter(time.Second), time.Now()
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.broker, err = fanout.NewBroker(cfg.Redis, s.log, cmp.Or(o.Node, strings.ToLower(rand.Text()[:8]))); err != nil {
		return nil, err
	}
	s.net.Node = s.broker.Node()
	s.clients.Broker, s.clients.Publisher = s.broker, publish.New(s.broker, &s.net.Inputs)
	s.requests.Ready = s.Ready
	if o.TuneProcess {
		s.files, _, err = reactor.RaiseDescriptorLimit()
	} else {
		s.files, _, err = reactor.DescriptorLimit()
	}
	if err != nil {
		return nil, err
	}
	set, err := newSettings(cfg, s.files, s.log)
	if err != nil {
		return nil, err
	}
	s.live.Store(set)
	if err := s.prepareTLS(); err != nil {
		return nil, err
	}
	s.configured.Store(s.net.Started.Unix())
	s.broker.OnRoundTrip(s.roundTrips.Observe)
	s.broker.LimitPayload(set.clients.PayloadBytes)
	if err := s.listen(); err != nil {
		return nil, err
	}
	if o.TuneProcess {
		s.tuneProcess()
	}
	return s, nil
}

// tuneProcess gives Go's scheduler two more processors than there are event loops, unless the
// environment sets the number. One is for the receivers of Redis. If all processors are in a loop's
// wait, the runtime's monitor retakes one and returns it all the time, and wakes up every 20 us for
// it: 15 % of the CPU time of a flood of handshakes on 2 CPUs, which cost 40 us each in place of
// 49. The other is for the collector, which a message would wait for while all loops are busy.
func (s *Server) tuneProcess() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(len(s.shards) + 2)
	}
	s.garbage.wanted = os.Getenv("GOGC") == ""
}

// listen opens the listeners of each shard, and the admin listener.
func (s *Server) listen() (err error) {
	cfg := s.live.Load().Config
	var first []conn.Listener
	for id := range cfg.shards() {
		var listeners []conn.Listener
		if id == 0 {
			listeners, err = s.openListeners()
			first = listeners
		} else {
			listeners, err = shareListeners(first)
		}
		if err != nil {
			return err
		}
		sh, err := newShard(s, id, listeners)
		if err != nil {
			closeListeners(listeners)
			return err
		}
		s.shards = append(s.shards, sh)
	}
	s.useBatches()
	if cfg.Admin.Listen == "" {
		return nil
	}
	if s.admin, err = net.Listen("tcp", cfg.Admin.Listen); err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	_, port, _ := net.SplitHostPort(s.AdminAddr())
	s.requests.ConsoleOrigins = map[string]bool{"http://" + s.AdminAddr(): true, "http://localhost:" + port: true}
	return nil
}

// openListeners opens the public listeners.
func (s *Server) openListeners() (all []conn.Listener, err error) {
	cfg := s.live.Load().Config
	defer func() {
		if err != nil {
			closeListeners(all)
		}
	}()
	for _, at := range []struct {
		key, addr string
		tls       bool
		bound     *string
	}{{"listen", cfg.Listen, false, &s.addr}, {"tls.listen", cfg.TLS.Address(), true, &s.tlsAddr}} {
		if at.addr == "" {
			continue
		}
		l, err := reactor.Listen(at.addr, reactor.ListenOptions{
			Backlog:       cfg.Socket.Backlog,
			SendBuffer:    cfg.Socket.SendBuffer,
			ReceiveBuffer: cfg.Socket.ReceiveBuffer,
			UserTimeout:   cfg.Socket.UserTimeout,
			Mode:          cfg.Socket.fileMode(),
		})
		if err != nil {
			return all, fmt.Errorf("%s: %w", at.key, err)
		}
		*at.bound = l.Addr()
		all = append(all, conn.Listener{Listener: l, TLS: at.tls})
	}
	return all, nil
}

// shareListeners opens further sockets on the addresses of listeners, for another shard.
func shareListeners(first []conn.Listener) (all []conn.Listener, err error) {
	for _, l := range first {
		shared, err := l.Share()
		if err != nil {
			closeListeners(all)
			return nil, err
		}
		all = append(all, conn.Listener{Listener: shared, TLS: l.TLS})
	}
	return all, nil
}

func closeListeners(all []conn.Listener) {
	for _, l := range all {
		l.Close()
	}
}

// useBatches has the shards send through io_uring where that is configured and available.
func (s *Server) useBatches() {
	if s.live.Load().Socket.IOUring == string(IOUringOff) {
		return
	}
	for _, sh := range s.shards {
		if err := sh.conns.Out.UseBatches(); err != nil {
			s.log.Info("io_uring is not available: writing to each client with its own system call", "err", err)
			return
		}
	}
}

// Addr returns the public address as bound.
func (s *Server) Addr() string { return s.addr }

// Embedded returns the address of the embedded Redis as bound, empty with a real one.
func (s *Server) Embedded() string { return s.broker.Embedded() }

// Publish publishes a message from inside the process, as a backend does: the rules for channels
// decide how it is kept, but not who may publish. It returns the message's id, empty for a plain
// message, and blocks until Redis has taken the message.
func (s *Server) Publish(ctx context.Context, channel string, data []byte) (id string, err error) {
	if err := message.ValidChannel(channel); err != nil {
		return "", err
	}
	cfg := s.live.Load()
	if len(data) > cfg.clients.PayloadBytes {
		return "", fmt.Errorf("publish to %s: %d bytes, at most %d are taken", channel, len(data), cfg.clients.PayloadBytes)
	}
	return s.broker.Publish(ctx, channel, data, cfg.clients.Rules.Of(channel).Options(nil, ""))
}

// AdminAddr returns the admin listener's address as bound, empty without one.
func (s *Server) AdminAddr() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.Addr().String()
}

// Ready returns nil if new clients should be sent here, else all the reasons against it.
func (s *Server) Ready() error {
	var reasons []error
	if s.requests.Draining.Load() {
		reasons = append(reasons, errors.New("draining"))
	}
	for _, err := range []error{s.broker.Ready(), s.live.Load().clients.Verifier.Ready()} {
		if err != nil {
			reasons = append(reasons, err)
		}
	}
	return errors.Join(reasons...)
}

// Run serves until ctx ends, then drains as configured and returns nil. An error means that a shard
// failed, or a listener or the broker broke; the process should exit then. Run waits for all its
// goroutines. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	// The broker outlives the server, so that messages still arrive while clients are drained.
	// Should it fail, the server stops too.
	brokerCtx, stopBroker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBroker()
	serverCtx, stopServer := context.WithCancel(ctx)
	defer stopServer()
	ended := make(chan error, 1) // sent to by the broker's goroutine, once
	go func() {
		ended <- s.broker.Run(brokerCtx)
		stopServer()
	}()
	err := s.serve(serverCtx)
	stopBroker()
	if brokerErr := <-ended; brokerErr != nil && !errors.Is(brokerErr, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("broker: %w", brokerErr))
	}
	return err
}

// serve is Run without the broker.
func (s *Server) serve(ctx context.Context) error {
	// The ticker outlives ctx: clients are served during the drain.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { s.tick(inner) })
	running.Go(func() { s.clients.Publisher.Run(inner) })
	running.Go(func() { s.runVerifier(inner) })
	running.Go(func() { s.watchCertificates(inner) })
	running.Go(func() { s.fleet.run(inner) })
	for _, sh := range s.shards {
		if err := sh.conns.Loop().Start(s.fail); err != nil {
			return err
		}
	}
	if s.admin != nil {
		srv := &http.Server{
			Handler:           s.adminHandler(),
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		}
		defer srv.Close()
		running.Go(func() {
			if err := srv.Serve(s.admin); !errors.Is(err, http.ErrServerClosed) {
				s.fail(fmt.Errorf("admin listener: %w", err))
			}
		})
	}
	select {
	case err := <-s.failed:
		return err
	case <-ctx.Done():
	case <-s.stop:
	}
	return s.drain()
}

// fail makes Run return err. It's called from any goroutine.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// drain rejects new clients and closes the others evenly.
func (s *Server) drain() error {
	delay := s.live.Load().Drain.Delay
	s.requests.Draining.Store(true)
	_ = s.departure.begin(reasons.CloseDrain, time.Now().Add(delay+s.drainTime())) // never refused
	s.fleet.hurry()
	s.log.Info("draining", "connections", s.net.Connections.Load(), "delay", delay, "over", s.drainTime())
	if err := s.wait(delay, func() bool { return false }); err != nil {
		return err
	}
	over := s.drainTime()
	var accepting atomic.Int64 // shards that may still accept connections
	accepting.Store(int64(len(s.shards)))
	for _, sh := range s.shards {
		sh.post(func() {
			sh.shutDown(over)
			accepting.Add(-1)
		})
	}
	empty := func() bool { return accepting.Load() == 0 && s.net.Connections.Load() == 0 }
	if err := s.wait(over+conn.Linger, empty); err != nil {
		return err
	}
	s.log.Info("drained", "left", s.net.Connections.Load())
	return nil
}

// wait returns after d, or once done holds, or with the error of a shard.
func (s *Server) wait(d time.Duration, done func() bool) error {
	end := time.After(d)
	poll := time.NewTicker(conn.Tick)
	defer poll.Stop()
	for {
		select {
		case err := <-s.failed:
			return err
		case <-end:
			return nil
		case <-poll.C:
			if done() {
				return nil
			}
		}
	}
}

// tick is the process's only ticker: it advances all shards' wheels until ctx ends.
func (s *Server) tick(ctx context.Context) {
	ticker := time.NewTicker(conn.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		at := time.Now()
		now := s.net.TickOf(at)
		date := http1.AppendDate(nil, at)
		l := &s.live.Load().Limits
		s.garbage.note(float64(s.net.Queued.Bytes.Load())/float64(l.TotalQueueBytes),
			float64(s.net.Inputs.Load())/float64(l.TotalInputBytes), s.broker.RingShare(), s.net.TLS.Completed.Load())
		for _, sh := range s.shards {
			sh.post(func() { sh.beat(now, at, date) })
		}
	}
}

// close frees everything New opened. Remaining connections are cut.
func (s *Server) close() {
	for _, sh := range s.shards {
		sh.close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
}
