package catchup

import (
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// However many clients come back, they cost Redis a handful of reads.
func TestStormReadsTheStreamOnce(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("this test needs redis-server in PATH: install the Debian package redis-server")
	}
	o, err := parse([]string{"-n", "200", "-live", "5", "-c", "100"})
	if err != nil {
		t.Fatal(err)
	}
	results, err := storms(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// One read is a page of the stream and its first entry. The first client
	// may be served before the others are here, and joining looks once at the
	// end of the stream.
	most := map[string]int{"reconnect, cold": 10, "reconnect, warm": 2, "subscribe, cold": 10}
	for _, r := range results {
		if r.reads > most[r.name] {
			t.Errorf("%s: %d reads of the stream, want at most %d", r.name, r.reads, most[r.name])
		}
		if r.all <= 0 || r.half > r.most || r.most > r.all {
			t.Errorf("%s: %+v", r.name, r)
		}
	}
	if len(results) != len(most) {
		t.Errorf("%d storms, want %d", len(results), len(most))
	}
}
