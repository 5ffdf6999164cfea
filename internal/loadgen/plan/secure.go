package plan

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
)

// serverName is the name in the certificate: the host of --url, or the value of a
// Host field in its place.
func (p *Plan) serverName() string {
	for _, field := range p.Headers {
		if name, host, _ := strings.Cut(field, ":"); strings.EqualFold(name, "host") {
			u := url.URL{Host: strings.TrimSpace(host)}
			return u.Hostname()
		}
	}
	return p.Target.name
}

// secureConfig says how the target's certificate is checked. Nil: the target is
// not TLS.
func (p *Plan) secureConfig(u *Problems) *tls.Config {
	c, err := p.TLSConfig()
	switch secure := p.Target.Secure || p.publishesSecurely(); {
	case !secure && p.CA != "":
		u.Add("--ca", p.CA, "only wss:// and https:// have certificates")
	case !secure && p.Insecure:
		u.Add("--insecure", "", "only wss:// and https:// have certificates")
	case p.CA != "" && p.Insecure:
		u.Add("--insecure", "", "checks no certificate; leave out --ca, or this")
	case err != nil:
		u.Add("--ca", p.CA, "%v", err)
	}
	if !p.Target.Secure || err != nil {
		return nil
	}
	c.ServerName, c.NextProtos = p.serverName(), []string{"http/1.1"}
	return c
}

// TLSConfig reads --ca and --insecure, once.
func (c *Config) TLSConfig() (*tls.Config, error) {
	t := &tls.Config{InsecureSkipVerify: c.Insecure}
	if c.CA == "" {
		return t, nil
	}
	if c.CAData == nil {
		var err error
		if c.CAData, err = readKey(c.CA); err != nil {
			return nil, err
		}
	}
	if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(c.CAData) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return t, nil
}
