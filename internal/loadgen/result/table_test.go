package result

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/probe"
)

func TestProgress(t *testing.T) {
	sample := Sample{Seconds: 3, Phase: PhasePublish, Open: 90, Failed: 10, Lost: 2, Published: 5, Delivered: 400, Expected: 450,
		DeliveredPS: 200, Due: account.Latency{Count: 1, P50: 1.5e6, P99: 2e8, Max: 12e9}, Server: &probe.ProcessSample{RSS: 50 << 20}, ServerCPU: 0.5, SelfCPU: 0.25}
	const want = "    3s publish  clients 90/100 failed 10 lost 2  published 5  delivered 400/450 (200/s)  p50 1.5 ms p99 200 ms max 12.0 s  server 50.0 MiB 50 % CPU  self 25 %"
	var plain, rewritten bytes.Buffer
	p := NewProgress(&plain, false, 100)
	p.Show(sample)
	p.Done()
	if plain.String() != want+"\n" {
		t.Errorf("got  %q\nwant %q", plain.String(), want)
	}
	p = NewProgress(&rewritten, true, 100)
	p.Show(sample)
	short := Sample{Phase: PhaseHold, Open: 100}
	p.Show(short)
	p.Done()
	if got := rewritten.String(); strings.Count(got, "\r") != 2 || strings.Count(got, "\n") != 1 || len(strings.Split(got, "\r")[2]) != len(want)+1 {
		t.Errorf("got %q", got)
	}
}
