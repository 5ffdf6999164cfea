package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/internal/redisurl"
)

// TLS is the settings for a URL with rediss://. The URL's parameters of the same names
// take precedence.
type TLS = redisurl.TLS

// secure makes connections with TLS. It reads the files for each, so that renewed ones
// are in force from the next connection on.
type secure struct {
	TLS
	host       string // of the URL
	skipVerify bool
}

// load reads the files.
func (s *secure) load() (*tls.Config, error) {
	var errs []error
	config := s.Load(func(key, value, want string) {
		errs = append(errs, fmt.Errorf("redis.tls.%s: %q is not allowed, want %s", key, value, want))
	})
	return config, errors.Join(errs...)
}

// dialer returns go-redis' Options.Dialer, which takes at most timeout.
func (s *secure) dialer(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	// As go-redis' own dialer has it: a server that vanished is found out.
	plain := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		config, err := s.load()
		if err != nil {
			return nil, err
		}
		conn, err := plain.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(addr)
		s.Hold(config, s.skipVerify, s.host, host)
		c := &securedConn{has: len(config.Certificates) > 0}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.asked = true
			if c.has {
				return &config.Certificates[0], nil
			}
			return new(tls.Certificate), nil // none
		}
		c.Conn = tls.Client(conn, config)
		if err := c.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, c.explain(err)
		}
		if c.asked {
			return c, nil
		}
		return c.Conn, nil
	}
}

// securedConn is a connection to a server that asked for the gateway's certificate. With TLS
// 1.3 it rejects that only after the handshake.
type securedConn struct {
	*tls.Conn

	// Immutable once the handshake is done
	has   bool // the gateway has a certificate
	asked bool // the server asked for it

	// Atomic
	taken atomic.Bool // the server has sent something
}

func (c *securedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.taken.Load() {
		c.taken.Store(true)
	}
	return n, c.explain(err)
}

func (c *securedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

// explain adds the remedy to an error before the server has sent anything.
func (c *securedConn) explain(err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		record    tls.RecordHeaderError
		timeout   net.Error
	)
	switch {
	case err == nil || c.taken.Load():
		return err
	case errors.As(err, &authority):
		return explained{err, "%v: redis.tls.ca_file is to name the file with the authority's certificate"}
	case errors.As(err, &name):
		return explained{err, "%v: redis.tls.server_name must be a name that the certificate has"}
	case errors.As(err, &record):
		return explained{err, "%v: this port is not for TLS, redis:// is for one without"}
	case errors.As(err, &timeout) && timeout.Timeout():
		if !c.ConnectionState().HandshakeComplete {
			return explained{err, "%v: the TLS handshake was not answered, redis:// is for a port without"}
		}
		return err
	case !c.asked:
		return err
	case c.has:
		return explained{err, "the server does not take the certificate of redis.tls.cert_file: %v"}
	}
	return explained{err, "the server asks for a client certificate, redis.tls.cert_file and redis.tls.key_file: %v"}
}

// explained is an error in other words. It is no wrapping one, of which go-redis takes a
// layer off, and yet is whatever the error is.
type explained struct {
	err   error
	words string
}

func (e explained) Error() string        { return fmt.Sprintf(e.words, e.err) }
func (e explained) Is(target error) bool { return errors.Is(e.err, target) }
func (e explained) As(target any) bool   { return errors.As(e.err, target) }
