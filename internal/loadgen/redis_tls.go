package loadgen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/pushgate/pushgate/internal/redisurl"
)

// redisTLS is what a URL of --redis says of TLS, in the parameters that the
// gateway's redis.url has for it.
type redisTLS struct {
	redisurl.TLS
	skipVerify bool
}

// load reads the files.
func (t redisTLS) load() (*tls.Config, error) {
	var errs []error
	c := t.Load(func(key, value, want string) { errs = append(errs, fmt.Errorf("%s %q, want %s", key, value, want)) })
	return c, errors.Join(errs...)
}

// hint says what to change about --redis for an error of the first command.
func (s redisServers) hint(err error) string {
	op := (*net.OpError)(nil)
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "?ca_file=FILE in the URL names the authority's certificate"
	case errors.As(err, new(x509.HostnameError)):
		return "?server_name=NAME in the URL is what the certificate is for"
	case errors.As(err, &op) && op.Op == "remote error", // an alert of TLS
		// With TLS 1.3 it may come too late to be read.
		s.secure() != nil && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)):
		return "?cert_file=FILE&key_file=FILE in the URL are the certificate that it asks its clients for"
	case errors.As(err, new(tls.RecordHeaderError)), errors.Is(err, errHandshake) && errors.Is(err, context.DeadlineExceeded):
		return "this port may not be for TLS, redis:// is for one without"
	}
	return "--redis must name the Redis that the gateway uses"
}
