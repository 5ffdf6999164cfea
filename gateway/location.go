package gateway

import (
	"net/netip"
	"strings"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// BadProxyHeader refuses a connection of a trusted proxy that doesn't name its client.
func (s *shard) BadProxyHeader(i uint32, err error) {
	s.request = http1.Request{}
	s.refuse(i, s.client(i), reasons.RejectProxyHeader, &http1.Error{Status: 400, Code: "bad_proxy_header", Message: err.Error()}, nil)
}

// OverAddress has the next request refused, because its client's address has too many connections.
// The response depends on the request, which proxies rarely send in the same packet as their
// header.
func (s *shard) OverAddress(i uint32) {
	s.client(i).flags |= flagOver
	s.conns.SetDeadline(i, s.conns.Now()+conn.RejectTicks)
}

// forwarded sets the client's address from the request in s.request, if a trusted proxy sent it. It
// reports whether the address may have one more connection, and has refused the request if not. A
// proxy may send requests of many clients over one connection, which then counts for the last of
// them.
func (s *shard) forwarded(i uint32, c *client) bool {
	if !s.conns.Trusted(i) {
		return true
	}
	var values []string
	header := string(s.cfg.proxyHeader)
	for f := s.request.Fields(); ; {
		name, value, ok := f.Next()
		if !ok {
			break
		}
		if len(name) == len(header) && strings.EqualFold(string(name), header) {
			values = append(values, string(value))
		}
	}
	client := s.cfg.conns.Trusted.Client(s.cfg.proxyHeader, values)
	if !client.IsValid() {
		s.tellNameless(i, c)
		return true
	}
	if s.conns.SetAddress(i, netip.AddrPortFrom(client, 0)) {
		return true
	}
	s.refuseOver(i, c, reasons.RejectAddress)
	return false
}

// tellNameless logs a trusted proxy that names no client: its clients escape the limits by address.
// A health check of the proxy is its own request.
func (s *shard) tellNameless(i uint32, c *client) {
	if isHealth(s.request.Path) || s.cfg.Proxy.Protocol != string(proxy.Off) {
		return
	}
	from := s.conns.Addr(i).Addr()
	if isNew, _ := s.srv.nameless.IsNew(from.String()); isNew {
		s.log.Warn("a trusted proxy names no client: its clients escape the limits by address", "proxy", from, "header", s.cfg.proxyHeader,
			"key", "proxy.header", "fix", "set proxy.header to the header that the proxy sends, or take it out of proxy.trusted")
	}
}
