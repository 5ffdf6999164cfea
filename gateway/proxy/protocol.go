// Package proxy finds out who a client is when it comes through proxies: by
// the PROXY protocol, which a proxy speaks before the client's first byte, and
// by a header of its requests, such as X-Forwarded-For.
package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Protocol says which versions of the PROXY protocol are taken.
type Protocol string

const (
	Off Protocol = "off"
	V1  Protocol = "v1" // text
	V2  Protocol = "v2" // binary
	Any Protocol = "any"
)

// Protocols are all values of Protocol.
var Protocols = []string{string(Off), string(V1), string(V2), string(Any)}

const (
	// maxV1 is the longest header of version 1 with its CR LF (section 2.1).
	maxV1 = 107
	// maxV2 bounds a header of version 2: addresses take at most 216 bytes,
	// the rest are extensions, which are skipped.
	maxV2 = 4 << 10
)

var (
	prefixV1    = []byte("PROXY ")
	signatureV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Errors of Parse.
var (
	errNone    = errors.New("the connection does not begin with a PROXY header of an accepted version")
	errV1      = errors.New("malformed PROXY header, version 1")
	errV2      = errors.New("malformed PROXY header, version 2")
	errTooLong = fmt.Errorf("PROXY header longer than %d bytes", maxV2)
)

// Parse reads the header at the start of p and returns its length and the
// address that the client connected from; the address is not valid where the
// connection is the proxy's own, for a health check, or the proxy doesn't know. Length 0
// without an error means that more bytes are needed.
func Parse(p []byte, accept Protocol) (source netip.AddrPort, n int, err error) {
	switch {
	case (accept == V1 || accept == Any) && begins(p, prefixV1):
		return parseV1(p)
	case (accept == V2 || accept == Any) && begins(p, signatureV2):
		return parseV2(p)
	}
	return netip.AddrPort{}, 0, errNone
}

// begins reports whether p starts with prefix as far as it goes.
func begins(p, prefix []byte) bool {
	n := min(len(p), len(prefix))
	return bytes.Equal(p[:n], prefix[:n])
}

// parseV1 reads a line (section 2.1): PROXY TCP4 source destination port port.
func parseV1(p []byte) (source netip.AddrPort, n int, err error) {
	end := bytes.IndexByte(p[:min(len(p), maxV1)], '\n')
	switch {
	case end < 0 && len(p) >= maxV1:
		return source, 0, errV1
	case end < 0:
		return source, 0, nil
	case end == 0 || p[end-1] != '\r':
		return source, 0, errV1
	}
	line := string(p[:end-1])
	if rest, ok := strings.CutPrefix(line, "PROXY UNKNOWN"); ok && (rest == "" || rest[0] == ' ') {
		return source, end + 1, nil
	}
	fields := strings.Split(line, " ")
	if len(fields) != 6 {
		return source, 0, errV1
	}
	from, ok1 := address(fields[2], fields[4], fields[1])
	_, ok2 := address(fields[3], fields[5], fields[1])
	if !ok1 || !ok2 {
		return source, 0, errV1
	}
	return from, end + 1, nil
}

// address reads an address of a family as version 1 writes it.
func address(host, port, family string) (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(host)
	number, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil, perr != nil, ip.Zone() != "":
		return netip.AddrPort{}, false
	case len(port) > 1 && port[0] == '0':
		return netip.AddrPort{}, false
	case family == "TCP4" && !ip.Is4(), family == "TCP6" && !ip.Is6(), family != "TCP4" && family != "TCP6":
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), true
}

// The header behind the signature in version 2 (section 2.2).
const (
	headV2     = 16 // bytes before the addresses
	local      = 0x20
	proxied    = 0x21
	unspec     = 0x00
	tcp4, tcp6 = 0x11, 0x21
	unixStream = 0x31
	sizeTCP4   = 12
	sizeTCP6   = 36
	sizeUnix   = 216
)

// parseV2 reads a binary header.
func parseV2(p []byte) (source netip.AddrPort, n int, err error) {
	// Refused as soon as it can be: a wrong byte must not wait for the rest.
	if len(p) > 12 && p[12] != local && p[12] != proxied {
		return source, 0, errV2
	}
	if len(p) < headV2 {
		return source, 0, nil
	}
	size := int(binary.BigEndian.Uint16(p[14:]))
	n = headV2 + size
	if n > maxV2 {
		return source, 0, errTooLong
	}
	least := 0
	if p[12] == proxied {
		switch p[13] {
		case unspec:
		case tcp4:
			least = sizeTCP4
		case tcp6:
			least = sizeTCP6
		case unixStream:
			least = sizeUnix
		default:
			return source, 0, errV2
		}
	}
	if size < least {
		return source, 0, errV2
	}
	if len(p) < n {
		return source, 0, nil
	}
	at := p[headV2:n]
	switch least {
	case sizeTCP4:
		source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(at)), binary.BigEndian.Uint16(at[8:]))
	case sizeTCP6:
		source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(at)).Unmap(), binary.BigEndian.Uint16(at[32:]))
	}
	return source, n, nil
}
