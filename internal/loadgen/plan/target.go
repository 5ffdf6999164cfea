package plan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Target is where the clients connect to: the addresses of a name, over which
// they are spread in turn, or a unix socket.
type Target struct {
	Addrs  []netip.AddrPort
	Socket string // path of a unix socket; then there are no addresses
	// Host is the Host header.
	Host string
	// Secure: TLS is spoken, with a server of that name.
	Secure bool
	name   string
	// path and query are the URL's.
	path, query string
}

const wantURL = "want a URL such as ws://127.0.0.1:8080, or unix:/run/gateway.sock"

// ParseTarget reads the URL of a gateway and finds its addresses.
func ParseTarget(ctx context.Context, raw string) (Target, error) {
	if t, ok, err := parseSocket(raw); ok {
		return t, err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return Target{}, errors.New(wantURL)
	}
	port := uint64(80)
	secure := u.Scheme == "wss" || u.Scheme == "https"
	switch {
	case secure:
		port = 443
	case u.Scheme != "ws" && u.Scheme != "http":
		return Target{}, fmt.Errorf("scheme %q, want ws, wss, http, https or unix", u.Scheme)
	}
	if u.User != nil || u.Fragment != "" {
		return Target{}, errors.New("a user or fragment has no place in the URL")
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return Target{}, fmt.Errorf("port %q, want 1 to 65535", p)
		}
	}
	all, err := resolveAll(ctx, u.Hostname())
	if err != nil {
		return Target{}, err
	}
	t := Target{Host: u.Host, Secure: secure, name: u.Hostname(), path: u.EscapedPath(), query: u.RawQuery}
	for _, a := range all {
		t.Addrs = append(t.Addrs, netip.AddrPortFrom(a, uint16(port)))
	}
	return t, nil
}

// parseSocket reads a unix socket as the gateway's listen has it, unix:/path, or
// with a scheme before it; behind another colon a request's path and query may
// follow. False: it is something else.
func parseSocket(raw string) (t Target, ok bool, err error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(raw, "ws+"), "http+")
	if rest, ok = strings.CutPrefix(rest, "unix:"); !ok {
		return t, false, nil
	}
	if strings.HasPrefix(rest, "//") {
		rest = rest[2:]
	}
	rest, t.query, _ = strings.Cut(rest, "?")
	t.Socket, t.path, _ = strings.Cut(rest, ":")
	t.Host = "localhost"
	if !strings.HasPrefix(t.Socket, "/") || t.path != "" && !strings.HasPrefix(t.path, "/") {
		return t, true, errors.New("want a socket such as unix:/run/gateway.sock, or unix:/run/gateway.sock:/v1/ws with a path")
	}
	return t, true, nil
}

// request is the path that clients of a transport ask for, up to where
// "channels=" follows. A URL without a path gets the transport's endpoint.
func (t *Target) request(kind Transport) string {
	path := t.path
	if path == "" || path == "/" {
		path = "/v1/" + string(kind)
	}
	path += "?"
	if t.query != "" {
		path += t.query + "&"
	}
	return path
}

// remote returns an address that is not on this host.
func (t *Target) remote() (netip.Addr, bool) {
	for _, a := range t.Addrs {
		if !a.Addr().IsLoopback() {
			return a.Addr(), true
		}
	}
	return netip.Addr{}, false
}

func (t *Target) IsLocal() bool {
	_, remote := t.remote()
	return !remote
}

// String names the place.
func (t *Target) String() string {
	if t.Socket != "" {
		return "unix:" + t.Socket
	}
	names := make([]string, len(t.Addrs))
	for i, a := range t.Addrs {
		names[i] = a.String()
	}
	return strings.Join(names, ", ")
}

// Dial checks that one of the addresses accepts a connection.
func (t *Target) Dial(ctx context.Context, timeout time.Duration) (err error) {
	d := net.Dialer{Timeout: timeout}
	if t.Socket != "" {
		conn, err := d.DialContext(ctx, "unix", t.Socket)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	for _, a := range t.Addrs {
		var conn net.Conn
		if conn, err = d.DialContext(ctx, "tcp", a.String()); err == nil {
			return conn.Close()
		}
	}
	return err
}

// reachWait is how long an address of several may take to answer.
const reachWait = 3 * time.Second

// reach leaves out the addresses of a name that take no connection while others
// do, as clients with several to choose from do, and returns them: a gateway that
// listens on 127.0.0.1 is localhost, and so is ::1. Its goroutines end within
// reachWait.
func (t *Target) reach(ctx context.Context) (out []netip.AddrPort) {
	if len(t.Addrs) < 2 {
		return nil
	}
	takes := make([]bool, len(t.Addrs))
	var all sync.WaitGroup
	for i, a := range t.Addrs {
		all.Go(func() {
			one := Target{Addrs: []netip.AddrPort{a}}
			takes[i] = one.Dial(ctx, reachWait) == nil
		})
	}
	all.Wait()
	var in []netip.AddrPort
	for i, a := range t.Addrs {
		if takes[i] {
			in = append(in, a)
		} else {
			out = append(out, a)
		}
	}
	if len(in) == 0 {
		return nil // the clients tell why
	}
	t.Addrs = in
	return out
}

// Resolve finds an address of a name; one that is not on this host, if there
// is such.
func Resolve(ctx context.Context, host string) (netip.Addr, error) {
	all, err := resolveAll(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if !a.IsLoopback() {
			return a, nil
		}
	}
	return all[0], nil
}

// resolveAll finds the addresses of a name, IPv4 before IPv6, each once.
func resolveAll(ctx context.Context, host string) (all []netip.Addr, err error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		// RFC 6761 section 6.3; browsers don't ask for it either.
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("host %q is not found", host)
	}
	seen := make(map[netip.Addr]bool)
	for _, four := range []bool{true, false} {
		for _, a := range found {
			if a = a.Unmap(); a.Is4() == four && !seen[a] {
				seen[a] = true
				all = append(all, a)
			}
		}
	}
	return all, nil
}

// NotThisHost refuses an address of another machine.
func NotThisHost(a netip.Addr) string {
	return fmt.Sprintf("%s is not on this host; --allow-remote lets a run load other machines", a)
}
