package client

import (
	"encoding/json"
	"runtime"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// An idle client has a budget of 200 bytes; it has no scratch and no pointers.
func TestClientSize(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n != 16 {
		t.Errorf("a client has %d bytes, want 16", n)
	}
}

func TestClientMemory(t *testing.T) {
	const n = 1_000_000
	c := plan.DefaultConfig()
	c.Connections, c.Channels = n, "news,user.%i"
	p, err := plan.New(t.Context(), c, plan.HostLimits{Descriptors: 1 << 20, Ports: 1 << 15})
	if err != nil {
		t.Fatal(err)
	}
	before := gatewaytest.HeapInUse()
	e, err := New(p, NewClock(0), NewSignals())
	if err != nil {
		t.Fatal(err)
	}
	defer e.closeLoops()
	each := float64(gatewaytest.HeapInUse()-before) / n
	t.Logf("%.1f B for a client with two subscriptions, of %d clients", each, n)
	if each > 40 {
		t.Errorf("%.1f B for a client", each)
	}
	runtime.KeepAlive(e)
}

// Latencies survive the way between processes without loss.
func TestSnapshotPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSnapshot()
		for _, h := range s.Fresh {
			for _, v := range rapid.SliceOf(rapid.Int64Range(0, account.LatencyHighest)).Draw(t, "values") {
				account.Record(h, v)
			}
		}
		want := s.Fresh.Summary()
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Snapshot
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if got := back.Fresh.Summary(); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for i, h := range s.Fresh {
			if !h.Equals(back.Fresh[i]) {
				t.Fatalf("histogram %d differs", i)
			}
		}
	})
}
