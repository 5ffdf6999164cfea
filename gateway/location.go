package gateway

import (
	"net/netip"
	"strings"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
	"github.com/pushgate/pushgate/internal/reactor"
)

// location is a connection's origin. It's kept only while addresses are limited or proxies trusted:
// otherwise the kernel knows it for the connection's lifetime. It takes 20 B.
type location struct {
	ip      [16]byte // of the client; zero if only the proxy is known
	port    uint16   // 0 if unknown
	counted bool     // in the server's addresses
	trusted bool     // the peer may name the client in a request
}

// locate records the peer of an accepted connection, and reports whether its address may have one
// more. A trusted proxy is not limited.
func (s *shard) locate(i uint32, c *conn, peer netip.AddrPort) bool {
	if s.cfg.trusted.None() || !s.cfg.trusted.Contains(peer.Addr()) {
		return s.setAddress(i, peer)
	}
	s.locations.At(i).trusted = true
	if s.cfg.Proxy.Protocol != string(proxy.Off) {
		c.phase = phaseProxy
	}
	return true
}

// setAddress sets the client's address, and reports whether it may have one more connection.
func (s *shard) setAddress(i uint32, at netip.AddrPort) bool {
	most := s.cfg.Limits.ConnectionsPerAddress
	proxied := !s.cfg.trusted.None()
	if !at.IsValid() || most == 0 && !proxied {
		return true
	}
	l := s.locations.At(i)
	ip := at.Addr().As16()
	if l.ip == ip {
		l.port = at.Port()
		return true
	}
	s.uncount(l)
	if most > 0 {
		if !s.srv.addresses.Enter(limit.AddressKey(at.Addr()), most) {
			s.srv.limited.Warn(s.log, "an address holds as many connections as allowed: more are turned away", "address", at.Addr(),
				"connections", most, "fix", "raise limits.connections_per_address, or name the proxy that they come through in proxy.trusted")
			return false
		}
		l.counted = true
	}
	l.ip, l.port = ip, at.Port()
	return true
}

// uncount removes the connection from its address's count.
func (s *shard) uncount(l *location) {
	if l.counted {
		s.srv.addresses.Leave(limit.AddressKey(netip.AddrFrom16(l.ip)))
	}
	l.ip, l.port, l.counted = [16]byte{}, 0, false
}

// forgetAddress clears a connection's location.
func (s *shard) forgetAddress(i uint32) {
	if l := s.locations.Get(i); l != nil {
		s.uncount(l)
		*l = location{}
	}
}

// clientAddr returns the address of a connection's client, with port 0 if only a proxy knows it. It
// isn't valid for a unix socket, or when the connection is gone.
func (s *shard) clientAddr(i uint32, c *conn) netip.AddrPort {
	if l := s.locations.Get(i); l != nil && l.ip != ([16]byte{}) {
		return netip.AddrPortFrom(netip.AddrFrom16(l.ip).Unmap(), l.port)
	}
	peer, err := reactor.PeerName(int(c.fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return peer
}

// proxyHeader reads a trusted proxy's PROXY protocol header, which names the client.
func (s *shard) proxyHeader(i uint32, c *conn, data []byte) {
	if c.in != 0 {
		data = s.takeInput(i, c, data, s.cfg.Limits.HeadBytes).buf
	}
	source, n, err := proxy.Parse(data, proxy.Protocol(s.cfg.Proxy.Protocol))
	switch {
	case err != nil:
		s.srv.limited.Warn(s.log, "a trusted proxy does not speak the PROXY protocol", "err", err,
			"proxy", s.clientAddr(i, c), "fix", "set proxy.protocol to what the proxy sends, or take it out of proxy.trusted")
		s.request = http1.Request{}
		s.refuse(i, c, reasons.RejectProxyHeader, &http1.Error{Status: 400, Code: "bad_proxy_header", Message: err.Error()}, nil)
		return
	case n == 0:
		s.keep(i, c, data)
		return
	}
	s.detach(c)
	c.phase = phaseHead
	// The client that the proxy names, unknown or the proxy itself, doesn't inherit its trust.
	s.locations.At(i).trusted = source.IsValid() && s.cfg.trusted.Contains(source.Addr())
	if source.IsValid() && !s.setAddress(i, source) {
		// The response depends on the request, which proxies rarely send in the same packet as
		// their header.
		c.flags |= flagOver
		s.wheel.Set(i, s.now+rejectTicks)
	}
	if len(data) > n {
		s.head(i, c, data[n:])
	}
}

// forwarded sets the client's address from the request in s.request, if a trusted proxy sent it. It
// reports whether the address may have one more connection, and has refused the request if not. A
// proxy may send requests of many clients over one connection, which then counts for the last of
// them.
func (s *shard) forwarded(i uint32, c *conn) bool {
	l := s.locations.Get(i)
	if l == nil || !l.trusted {
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
	client := s.cfg.trusted.Client(s.cfg.proxyHeader, values)
	if !client.IsValid() {
		s.tellNameless(i, c)
		return true
	}
	if s.setAddress(i, netip.AddrPortFrom(client, 0)) {
		return true
	}
	s.refuseOver(i, c, reasons.RejectAddress)
	return false
}

// tellNameless logs a trusted proxy that names no client: its clients escape the limits by address.
// A health check of the proxy is its own request.
func (s *shard) tellNameless(i uint32, c *conn) {
	if isHealth(s.request.Path) || s.cfg.Proxy.Protocol != string(proxy.Off) {
		return
	}
	from := s.clientAddr(i, c).Addr()
	if isNew, _ := s.srv.nameless.IsNew(from.String()); isNew {
		s.log.Warn("a trusted proxy names no client: its clients escape the limits by address", "proxy", from, "header", s.cfg.proxyHeader,
			"key", "proxy.header", "fix", "set proxy.header to the header that the proxy sends, or take it out of proxy.trusted")
	}
}
