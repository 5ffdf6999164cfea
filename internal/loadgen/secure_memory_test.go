package loadgen

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/loopback"
)

// heldHeap holds clients of a server in another process, and returns the reachable heap of this one
// meanwhile.
func heldHeap(t *testing.T, clients int, secure bool) (heap int64) {
	t.Helper()
	addr, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	c := plan.DefaultConfig()
	c.URL, c.ServerCmd = "ws://"+addr, fmt.Sprintf("env %s=%s %s", serverVariable, addr, os.Args[0])
	if secure {
		c.URL, c.Insecure = "wss://"+addr, true
		c.ServerCmd = fmt.Sprintf("env %s=1 %s", secureVariable, c.ServerCmd)
	}
	c.Timeout = time.Minute
	server, err := Launch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c.ServerCmd, c.Connections, c.InFlight, c.Hold = "", clients, 50, time.Second
	r, err := Idle(t.Context(), c, Options{Progress: func(s result.Sample) {
		if s.Phase == result.PhaseHold && heap == 0 {
			heap = gatewaytest.HeapInUse()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Good() || heap == 0 || secure != (r.Counters.TLSHandshakes > 0) {
		t.Fatalf("heap %d, %+v, failed %q, %v", heap, r.Counters, r.Failed, r.Failures)
	}
	return heap
}

// A client with TLS keeps a record state of 112 bytes beyond a plain one, and nothing of crypto/tls.
func TestSecureMemory(t *testing.T) {
	const clients = 2000
	plain, secure := heldHeap(t, clients, false), heldHeap(t, clients, true)
	each := float64(secure-plain) / clients
	t.Logf("%.0f B of heap for a client, of %d", each, clients)
	if each > 400 {
		t.Errorf("TLS takes %.0f B of heap for a client", each)
	}
}
