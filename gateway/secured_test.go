package gateway

import (
	"flag"
	"strings"
	"testing"
)

// TLSOfTests has all gateways under test listen with TLS alone, and their clients speak it, so that the
// whole suite can be run both ways.
var TLSOfTests = flag.Bool("tls", false, "the gateways under test listen with TLS alone")

// Secured has a gateway under test listen with TLS in place of the clear if TLSOfTests says so. There is
// no TLS on Unix sockets.
func Secured(c *Config) {
	if *TLSOfTests && !strings.HasPrefix(c.Listen, "unix:") && c.TLS.Address() == "" {
		c.Listen, c.TLS.Listen, c.TLS.SelfSigned = "", c.Listen, true
	}
}

// ClearOnly is a reason why a test makes no sense over TLS.
type ClearOnly string

const (
	// CostOfRecords: it counts allocations or compares CPU time, and each record has its cipher made.
	CostOfRecords ClearOnly = "records cost CPU time and allocations"
	// Rejected: it has a shard that stands still reject a client, which has its handshake first.
	Rejected ClearOnly = "clients over a limit have a handshake"
	// Flooded: it needs each of many clients over a limit to get its response.
	Flooded ClearOnly = "in a flood, clients over a limit get no handshake"
	// ProxyHeader: it sends one, which would have to come before the handshake.
	ProxyHeader ClearOnly = "a PROXY header comes before the handshake"
	// Malformed: it reads the response to bytes that aren't the beginning of a TLS handshake.
	Malformed ClearOnly = "bytes before a handshake have no response"
	// BytesOnTheWire: it counts them.
	BytesOnTheWire ClearOnly = "records are longer than their data"
	// OtherPrograms: it runs programs that take a URL of http.
	OtherPrograms ClearOnly = "the programs speak HTTP in the clear"
	// OnUnixSockets: it connects to one.
	OnUnixSockets ClearOnly = "there is no TLS on Unix sockets"
	// HeldLoops: it has clients connect while the loops stand still, which can't do a handshake.
	HeldLoops ClearOnly = "a handshake needs the loops"
)

// InTheClear skips a test with TLSOfTests.
func InTheClear(t testing.TB, reason ClearOnly) {
	t.Helper()
	if *TLSOfTests {
		t.Skip("not over TLS: ", reason)
	}
}
