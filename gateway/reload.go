package gateway

import (
	"context"
	"reflect"
	"time"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// LiveKeys are the keys, or sections of them, that Reload takes over. All
// others are bound to what was opened at the start.
var LiveKeys = []string{"origins", "channels", "admin.token", "auth.jwt", "heartbeat", "limits", "proxy", "websocket", "drain", "debug"}

// withLive returns c with the values that next has for LiveKeys.
func (c Config) withLive(next Config) Config {
	c.Origins, c.Channels = next.Origins, next.Channels
	c.Auth.JWT = next.Auth.JWT
	c.Admin.Token = next.Admin.Token
	c.Heartbeat = next.Heartbeat
	c.Limits = next.Limits
	c.Proxy = next.Proxy
	c.WebSocket = next.WebSocket
	c.Drain = next.Drain
	c.Debug = next.Debug
	return c
}

// Reload takes over from cfg what can change while the gateway runs: limits,
// origins, rules for channels, token keys, admin.token, heartbeat and drain. It
// returns the keys that are different in cfg and need a restart; they keep
// their value. After an error everything is as before.
//
// Clients that are connected stay, with what their tokens allowed them when
// they came: a limit that is lower now, or a key that is gone, is for the next
// ones. Files with keys are read again even where their names are the same.
func (s *Server) Reload(cfg Config) (refused []string, err error) {
	defer func() {
		if err != nil {
			s.ReloadFailed()
			return
		}
		s.reloadFailed.Store(false)
		s.configured.Store(time.Now().Unix())
	}()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	old := s.live.Load()
	next := old.withLive(cfg)
	refused = differing("", reflect.ValueOf(next), reflect.ValueOf(cfg))
	// The live keys were judged beside values that don't come into force.
	if err := next.Validate(); err != nil {
		return nil, err
	}
	set, err := newSettings(next, s.files, s.log)
	if err != nil {
		return nil, err
	}
	set.verifier.Adopt(old.verifier)
	s.live.Store(set)
	s.strangers.Forget()
	s.speechless.Forget()
	s.nameless.Forget()
	s.broker.LimitPayload(set.maxPayload)
	s.spread(set)
	select {
	case s.reloaded <- struct{}{}:
	default:
	}
	return refused, nil
}

// ReloadFailed notes for the metrics that a new configuration was refused. Reload
// does it itself; it is for one that could not even be read.
func (s *Server) ReloadFailed() { s.reloadFailed.Store(true) }

// spread hands set to the shards and waits until all work by it, a second at
// most: a loop that takes longer has it waiting in its queue.
func (s *Server) spread(set *settings) {
	swapped := make(chan struct{}, len(s.shards)) // each shard sends once
	for _, sh := range s.shards {
		sh.post(func() { sh.use(set); swapped <- struct{}{} })
	}
	patience := time.After(time.Second)
	for range s.shards {
		select {
		case <-swapped:
		case <-patience:
			return
		}
	}
}

// use has the shard work by set from now on.
func (s *shard) use(set *settings) {
	s.cfg = set
	s.frame = wsframe.NewReader(wsframe.Server, int64(set.Limits.MessageBytes))
}

// runVerifier keeps the token keys of the present settings fresh until ctx
// ends.
func (s *Server) runVerifier(ctx context.Context) {
	for ctx.Err() == nil {
		present, stop := context.WithCancel(ctx)
		ended := make(chan struct{}) // closed by the goroutine that runs the verifier
		verifier := s.live.Load().verifier
		go func() {
			// Ends when present does; waited for below. Run's only error is nil.
			defer close(ended)
			_ = verifier.Run(present)
		}()
		for verifier == s.live.Load().verifier && ctx.Err() == nil {
			select {
			case <-s.reloaded:
			case <-ctx.Done():
			}
		}
		stop()
		<-ended
	}
}

// differing returns the names of the keys that a and b have different values
// for, by their koanf tags.
func differing(prefix string, a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		name := prefix + a.Type().Field(i).Tag.Get("koanf")
		x, y := a.Field(i), b.Field(i)
		switch {
		case x.Kind() == reflect.Struct:
			keys = append(keys, differing(name+".", x, y)...)
		case x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0:
			// An empty list is the same as none.
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			keys = append(keys, name)
		}
	}
	return keys
}
