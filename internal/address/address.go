// Package address reads host:port, as operators write where to listen.
package address

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

var errForm = errors.New("host:port")

// Split takes host:port apart, and refuses one that could only fail later. Its error
// is the form to write. The host is empty where every address is meant; a port of 0
// leaves the choice to the kernel.
func Split(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		if strings.Contains(addr, "://") {
			return "", 0, errors.New("host:port, without a scheme or a path")
		}
		return "", 0, errForm
	}
	number, err := strconv.ParseUint(text, 10, 16)
	switch {
	case text != "" && strings.Trim(text, "0123456789") != "":
		return "", 0, errForm
	case err != nil:
		return "", 0, errors.New("host:port with a port from 0 to 65535")
	case host == "*":
		return "", 0, errors.New(strconv.Quote(":"+text) + ", which is every address")
	case !isHost(host):
		return "", 0, errors.New("host:port with the name or address of a host")
	}
	return host, uint16(number), nil
}

// isHost reports whether a host can be one by its form.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	if len(host) > 253 || strings.Trim(host, "0123456789.") == "" { // would be an IPv4 address
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notInNames) {
			return false
		}
	}
	return true
}

func notInNames(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// Overlap reports whether two valid addresses can't both be listened on.
func Overlap(a, b string) bool {
	hostA, portA, errA := Split(a)
	hostB, portB, errB := Split(b)
	if errA != nil || errB != nil || portA != portB || portA == 0 {
		return false
	}
	ipA, ipB := ipOf(hostA), ipOf(hostB)
	if !ipA.IsValid() || !ipB.IsValid() {
		return hostA == hostB
	}
	// The unspecified address of IPv6 takes connections of IPv4, too.
	covers := func(every, other netip.Addr) bool {
		return every.IsUnspecified() && (every.Is6() || other.Is4())
	}
	return ipA == ipB || covers(ipA, ipB) || covers(ipB, ipA)
}

// ipOf returns the address of a host as far as it is known without a lookup.
func ipOf(host string) netip.Addr {
	switch host {
	case "":
		return netip.IPv6Unspecified()
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}

// IsLoopback reports whether only this machine can reach a host, as far as it is known without a lookup.
func IsLoopback(host string) bool { return ipOf(host).IsLoopback() }
