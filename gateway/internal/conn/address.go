package conn

import (
	"net/netip"

	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
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

// Addresses knows where a loop's clients come from, and counts them by address.
type Addresses struct {
	set       *Set
	locations slab.Sparse[location]
}

// locate records the peer of an accepted connection, and reports whether its address may have one
// more. A trusted proxy is not limited.
func (a *Addresses) locate(i uint32, c *socket, peer netip.AddrPort) bool {
	if t := a.set.options.Trusted; t.None() || !t.Contains(peer.Addr()) {
		return a.Set(i, peer)
	}
	a.locations.At(i).trusted = true
	if a.set.options.ProxyProtocol != proxy.Off {
		c.flags |= flagUnnamed
	}
	return true
}

// Set sets the client's address, and reports whether it may have one more connection.
func (a *Addresses) Set(i uint32, at netip.AddrPort) bool {
	most := a.set.options.PerAddress
	proxied := !a.set.options.Trusted.None()
	if !at.IsValid() || most == 0 && !proxied {
		return true
	}
	l := a.locations.At(i)
	ip := at.Addr().As16()
	if l.ip == ip {
		l.port = at.Port()
		return true
	}
	a.uncount(l)
	if most > 0 {
		if !a.set.shared.Addresses.Enter(limit.AddressKey(at.Addr()), most) {
			a.set.shared.Limited.Warn(a.set.log, "an address holds as many connections as allowed: rejecting more", "address", at.Addr(),
				"connections", most, "fix", "raise limits.connections_per_address, or name the proxy that they come through in proxy.trusted")
			return false
		}
		l.counted = true
	}
	l.ip, l.port = ip, at.Port()
	return true
}

// uncount removes the connection from its address's count.
func (a *Addresses) uncount(l *location) {
	if l.counted {
		a.set.shared.Addresses.Leave(limit.AddressKey(netip.AddrFrom16(l.ip)))
	}
	l.ip, l.port, l.counted = [16]byte{}, 0, false
}

// forget clears a connection's location.
func (a *Addresses) forget(i uint32) {
	if l := a.locations.Get(i); l != nil {
		a.uncount(l)
		*l = location{}
	}
}

// Trusted reports whether a connection's peer is a trusted proxy, which may name the client in its
// requests.
func (a *Addresses) Trusted(i uint32) bool {
	l := a.locations.Get(i)
	return l != nil && l.trusted
}

// Of returns the address of a connection's client, with port 0 if only a proxy knows it. It
// isn't valid for a unix socket, or when the connection is gone.
func (a *Addresses) Of(i uint32) netip.AddrPort {
	if l := a.locations.Get(i); l != nil && l.ip != ([16]byte{}) {
		return netip.AddrPortFrom(netip.AddrFrom16(l.ip).Unmap(), l.port)
	}
	peer, err := reactor.PeerName(int(a.set.Slots.at(i).fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return peer
}

// proxyHeader reads a trusted proxy's PROXY protocol header, which names the client.
func (a *Addresses) proxyHeader(i uint32, c *socket, data []byte) {
	if c.flags&flagInput != 0 {
		data = a.set.Input.Keep(i, data, 0)
	}
	source, n, err := proxy.Parse(data, a.set.options.ProxyProtocol)
	switch {
	case err != nil:
		a.set.shared.Limited.Warn(a.set.log, "a trusted proxy does not speak the PROXY protocol", "err", err,
			"proxy", a.Of(i), "fix", "set proxy.protocol to the version that the proxy sends, or remove the proxy from proxy.trusted")
		if c.flags&flagRejected != 0 {
			a.set.release(i, c, reasons.CloseRejected)
			return
		}
		a.set.handler.BadProxyHeader(i, err)
		return
	case n == 0:
		if c.flags&flagInput == 0 {
			a.set.Input.Keep(i, data, 0) // proxy.Parse bounds it
		}
		return
	}
	a.set.Input.Detach(i)
	c.flags &^= flagUnnamed
	if c.flags&flagRejected == 0 {
		a.named(i, c, source)
	}
	if len(data) > n {
		a.set.Reading.received(i, c, data[n:])
	}
}

// named takes the address of a client from the PROXY protocol. The client that the proxy names,
// unknown or the proxy itself, doesn't inherit its trust.
func (a *Addresses) named(i uint32, c *socket, source netip.AddrPort) {
	a.locations.At(i).trusted = source.IsValid() && a.set.options.Trusted.Contains(source.Addr())
	switch {
	case !source.IsValid() || a.Set(i, source):
	case c.flags&flagSecure != 0:
		a.set.Acceptor.rejectNamed(i, c, reasons.RejectAddress)
	default:
		a.set.handler.OverAddress(i)
	}
}
