package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/gateway/certs"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// certsInterval is the time between two checks of the certificates' files.
const certsInterval = 5 * time.Second

// TLSAddr returns the address of the TLS listener as bound, empty without one.
func (s *Server) TLSAddr() string { return s.tlsAddr }

// Certificates returns the certificates in use, nil without a TLS listener.
func (s *Server) Certificates() *certs.Set { return s.certs.Load() }

// prepareTLS reads the certificates, if there is to be a TLS listener, and checks that this build of
// Go can be used for it.
func (s *Server) prepareTLS() error {
	cfg := s.live.Load().Config
	if cfg.TLS.Address() == "" {
		return nil
	}
	if err := tlsrecord.Check(); err != nil {
		return fmt.Errorf("tls.listen: TLS doesn't work with this build of Go, or in its present mode (GODEBUG): %w", err)
	}
	set, err := certs.Load(cfg.TLS)
	if err != nil {
		return err
	}
	set.Log(s.log, time.Now())
	s.certs.Store(set)
	s.net.TLS.Use(func() *tls.Config { return s.certs.Load().TLS() }, cfg.shards())
	return nil
}

// reloadCertificates reads the files of certificates again. After an error those in use stay. The
// caller holds reloading.
func (s *Server) reloadCertificates(cfg certs.Config) error {
	old := s.certs.Load()
	if old == nil {
		return nil
	}
	set, err := old.Reload(cfg)
	if err != nil {
		// Files that only cfg names have nothing to do with those in use.
		s.certsFailed.Store(old.Changed())
		return err
	}
	set.Log(s.log, time.Now())
	s.certs.Store(set)
	s.certsFailed.Store(false)
	return nil
}

// watchCertificates takes over certificates whose files have changed, until ctx ends. Files that
// can't be used are looked at again each time: a certificate and its key are rarely replaced at once.
func (s *Server) watchCertificates(ctx context.Context) {
	if s.certs.Load() == nil {
		return
	}
	ticker := time.NewTicker(certsInterval)
	defer ticker.Stop()
	last := "" // error
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		last = s.checkCertificates(last)
	}
}

// checkCertificates takes over certificates whose files have changed. last is the error of the
// previous check; the present one is returned, and logged only if it is another.
func (s *Server) checkCertificates(last string) (now string) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if !s.certs.Load().Changed() {
		s.certsFailed.Store(false)
		return ""
	}
	if err := s.reloadCertificates(s.live.Load().TLS); err != nil {
		if now = err.Error(); now != last {
			s.log.Error("the TLS files have changed but can't be used; keeping the present certificates", "err", err)
		}
		return now
	}
	for _, c := range s.certs.Load().Certificates() {
		s.log.Info("certificate replaced", "name", c.Name, "expires", c.NotAfter, "sha256", c.Fingerprint)
	}
	return ""
}

// firstToExpire returns the certificates by name and type of key: the one that expires first where
// several share both.
func firstToExpire(all []certs.Certificate) map[[2]string]certs.Certificate {
	first := make(map[[2]string]certs.Certificate)
	for _, c := range all {
		label := [2]string{c.Name, c.KeyType}
		if other, ok := first[label]; !ok || c.NotAfter.Before(other.NotAfter) {
			first[label] = c
		}
	}
	return first
}
