package gateway

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/pushgate/pushgate/gateway/certs"
)

// LiveKeys are the keys, or sections of keys, that Reload applies, unless keys that they depend on are
// to change too. All others are fixed at the start.
var LiveKeys = []string{
	"origins", "channels", "admin.token", "auth.jwt", "heartbeat", "limits", "proxy", "websocket", "drain",
	"tls.certificates", "tls.min_version", "tls.client_ca_file", "tls.ticket_key_file", "tls.handshakes", "debug",
}

// withLive returns c with next's values for LiveKeys.
func (c Config) withLive(next Config) Config {
	c.Origins, c.Channels = next.Origins, next.Channels
	// A listener that stays for now isn't opened by taking away a token that the next one doesn't need.
	if next.Admin.Token != "" || next.Admin.Listen == c.Admin.Listen {
		c.Admin.Token = next.Admin.Token
	}
	c.Heartbeat = next.Heartbeat
	c.Limits = next.Limits
	c.Proxy = next.Proxy
	c.WebSocket = next.WebSocket
	c.Drain = next.Drain
	c.Debug = next.Debug
	authority := c.TLS.ClientCAFile
	c.TLS = withLiveTLS(c.TLS, next.TLS)
	// How clients authenticate changes as a whole: without the authority, say, and tokens only after a
	// restart, the gateway would be open meanwhile.
	if next.Auth.Mode == c.Auth.Mode {
		c.Auth.JWT = next.Auth.JWT
	} else {
		c.TLS.ClientCAFile = authority
	}
	return c
}

// withLiveTLS keeps the section as a whole while the listener is to appear or to go, or its
// certificate to be made in another way: the keys would not fit together.
func withLiveTLS(now, next certs.Config) certs.Config {
	if (now.Address() == "") != (next.Address() == "") || now.SelfSigned != next.SelfSigned {
		return now
	}
	next.Listen = now.Listen
	return next
}

// Reload applies the keys of cfg that can change while the gateway runs: limits, origins, rules for
// channels, token keys, certificates, admin.token, heartbeat and drain. It returns the changed keys that need a
// restart; they keep their value. After an error everything is as before.
//
// Connected clients stay, with the grants of their tokens: a lower limit, or a removed key, applies
// to new ones. Key files are read again even if their names are unchanged.
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
	// The live keys were validated beside values that aren't applied.
	if err := next.Validate(); err != nil {
		return nil, restartError(refused, err)
	}
	set, err := newSettings(next, s.files, s.log)
	if err != nil {
		return nil, err
	}
	if err := s.reloadCertificates(next.TLS); err != nil {
		return nil, err
	}
	set.clients.Verifier.Adopt(old.clients.Verifier)
	s.live.Store(set)
	s.requests.Forget()
	s.clients.UnknownSubprotocols.Forget()
	s.broker.LimitPayload(set.clients.PayloadBytes)
	s.spread(set)
	select {
	case s.reloaded <- struct{}{}:
	default:
	}
	return refused, nil
}

// restartError reports that a change needs a restart: err tells why the live keys don't fit the present
// values of the refused ones.
func restartError(refused []string, err error) error {
	if len(refused) == 0 {
		return err
	}
	return fmt.Errorf("%s: can change only with a restart, which the other changes need: %s",
		strings.Join(refused, ", "), strings.ReplaceAll(err.Error(), "\n", "; "))
}

// ReloadFailed records for the metrics that a new configuration was refused. Reload calls it
// itself; callers use it for a configuration that couldn't even be read.
func (s *Server) ReloadFailed() { s.reloadFailed.Store(true) }

// spread hands set to the shards and waits until all use it, a second at most: a slower loop
// applies it later from its queue.
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

// runVerifier keeps the token keys of the current settings fresh until ctx ends.
func (s *Server) runVerifier(ctx context.Context) {
	for ctx.Err() == nil {
		present, stop := context.WithCancel(ctx)
		ended := make(chan struct{}) // closed by the goroutine that runs the verifier
		verifier := s.live.Load().clients.Verifier
		go func() {
			// Ends when present does; waited for below. Run's only error is nil.
			defer close(ended)
			_ = verifier.Run(present)
		}()
		for verifier == s.live.Load().clients.Verifier && ctx.Err() == nil {
			select {
			case <-s.reloaded:
			case <-ctx.Done():
			}
		}
		stop()
		<-ended
	}
}

// differing returns the keys with different values in a and b, by their koanf tags.
func differing(prefix string, a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		name := prefix + a.Type().Field(i).Tag.Get("koanf")
		x, y := a.Field(i), b.Field(i)
		switch {
		case x.Kind() == reflect.Struct:
			keys = append(keys, differing(name+".", x, y)...)
		case x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0:
			// An empty list equals none.
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			keys = append(keys, name)
		}
	}
	return keys
}
