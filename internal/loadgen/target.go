package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// Target is where the clients connect to.
type Target struct {
	Addr netip.AddrPort
	// Host is the Host header.
	Host string
	// Path is the request's path and query, ready for "channels=" to follow.
	Path string
}

// ParseTarget reads the URL of a gateway and finds its address. A URL without
// a path gets the endpoint of the transport.
func ParseTarget(ctx context.Context, raw string, t Transport) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return Target{}, errors.New("want a URL such as ws://127.0.0.1:8080")
	}
	switch u.Scheme {
	case "ws", "http":
	case "wss", "https":
		return Target{}, errors.New("TLS is not spoken: aim at the gateway's plain listener behind the TLS proxy")
	default:
		return Target{}, fmt.Errorf("scheme %q, want ws or http", u.Scheme)
	}
	if u.User != nil || u.Fragment != "" {
		return Target{}, errors.New("a user or fragment has no place in the URL")
	}
	port := uint64(80)
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return Target{}, fmt.Errorf("port %q, want 1 to 65535", p)
		}
	}
	addr, err := resolve(ctx, u.Hostname())
	if err != nil {
		return Target{}, err
	}
	path := u.EscapedPath()
	if path == "" || path == "/" {
		path = t.endpoint()
	}
	path += "?"
	if u.RawQuery != "" {
		path += u.RawQuery + "&"
	}
	return Target{Addr: netip.AddrPortFrom(addr, uint16(port)), Host: u.Host, Path: path}, nil
}

// resolve finds the address of a name, IPv4 before IPv6.
func resolve(ctx context.Context, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(all) == 0 {
		return netip.Addr{}, fmt.Errorf("host %q is not found", host)
	}
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	return all[0], nil
}
