package conn

import (
	"net/netip"

	"github.com/pushgate/pushgate/gateway/internal/limit"
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
func (s *Set) locate(i uint32, c *socket, peer netip.AddrPort) bool {
	if t := s.options.Trusted; t.None() || !t.Contains(peer.Addr()) {
		return s.SetAddress(i, peer)
	}
	s.locations.At(i).trusted = true
	if s.options.ProxyProtocol != proxy.Off {
		c.flags |= flagUnnamed
	}
	return true
}

// SetAddress sets the client's address, and reports whether it may have one more connection.
func (s *Set) SetAddress(i uint32, at netip.AddrPort) bool {
	most := s.options.PerAddress
	proxied := !s.options.Trusted.None()
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
		if !s.shared.Addresses.Enter(limit.AddressKey(at.Addr()), most) {
			s.shared.Limited.Warn(s.log, "an address holds as many connections as allowed: more are turned away", "address", at.Addr(),
				"connections", most, "fix", "raise limits.connections_per_address, or name the proxy that they come through in proxy.trusted")
			return false
		}
		l.counted = true
	}
	l.ip, l.port = ip, at.Port()
	return true
}

// uncount removes the connection from its address's count.
func (s *Set) uncount(l *location) {
	if l.counted {
		s.shared.Addresses.Leave(limit.AddressKey(netip.AddrFrom16(l.ip)))
	}
	l.ip, l.port, l.counted = [16]byte{}, 0, false
}

// forgetAddress clears a connection's location.
func (s *Set) forgetAddress(i uint32) {
	if l := s.locations.Get(i); l != nil {
		s.uncount(l)
		*l = location{}
	}
}

// Trusted reports whether a connection's peer is a trusted proxy, which may name the client in its
// requests.
func (s *Set) Trusted(i uint32) bool {
	l := s.locations.Get(i)
	return l != nil && l.trusted
}

// Addr returns the address of a connection's client, with port 0 if only a proxy knows it. It
// isn't valid for a unix socket, or when the connection is gone.
func (s *Set) Addr(i uint32) netip.AddrPort {
	if l := s.locations.Get(i); l != nil && l.ip != ([16]byte{}) {
		return netip.AddrPortFrom(netip.AddrFrom16(l.ip).Unmap(), l.port)
	}
	peer, err := reactor.PeerName(int(s.slots.at(i).fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return peer
}

// proxyHeader reads a trusted proxy's PROXY protocol header, which names the client.
func (s *Set) proxyHeader(i uint32, c *socket, data []byte) {
	if c.in != 0 {
		data = s.Input.Keep(i, data, 0)
	}
	source, n, err := proxy.Parse(data, s.options.ProxyProtocol)
	switch {
	case err != nil:
		s.shared.Limited.Warn(s.log, "a trusted proxy does not speak the PROXY protocol", "err", err,
			"proxy", s.Addr(i), "fix", "set proxy.protocol to what the proxy sends, or take it out of proxy.trusted")
		s.handler.BadProxyHeader(i, err)
		return
	case n == 0:
		if c.in == 0 {
			s.Input.Keep(i, data, 0) // proxy.Parse bounds it
		}
		return
	}
	s.Input.Detach(i)
	c.flags &^= flagUnnamed
	// The client that the proxy names, unknown or the proxy itself, doesn't inherit its trust.
	s.locations.At(i).trusted = source.IsValid() && s.options.Trusted.Contains(source.Addr())
	if source.IsValid() && !s.SetAddress(i, source) {
		s.handler.OverAddress(i)
	}
	if len(data) > n {
		s.handler.Received(i, data[n:])
	}
}
