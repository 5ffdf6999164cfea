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
