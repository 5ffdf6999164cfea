package loadgen

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/result"
)

func TestReport(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.faults = func(sub, n int) fault {
		return map[[2]int]fault{{0, 2}: drop, {1, 3}: double, {2, 4}: holdBack, {3, 9}: closeOff}[[2]int{sub, n}]
	}
	c := s.start(t, 4, 10)
	r := mustFanout(t, s, c)
	var table, text bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ready                        4 of 4",
		"lost                         1  closed 4002",
		"deliveries expected          40",
		"delivered                    37 in ",
		"missing                      3",
		"duplicated                   1",
		"out of order                 1",
		"missing, for example         client ",
		"delivery from intended time",
		"RSS per connection",
		"FAILED",
		"3 of 40 deliveries are missing, on 2 subscriptions",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table doesn't say %q:\n%s", want, table.String())
		}
	}
	if err := r.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var back result.Result
	d := json.NewDecoder(&text)
	d.DisallowUnknownFields()
	if err := d.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if back.Schema != result.Schema || back.Counters != r.Counters || back.Fanout.Missing != 3 || back.Losses["closed 4002: slow"] != 1 {
		t.Errorf("read back %+v", back)
	}
}

// Without a ready client there is no cost per client.
func TestTableWithoutClients(t *testing.T) {
	s := newScripted()
	s.refuse = func(int) int { return 404 }
	c := s.start(t, 5, 5)
	c.PID = os.Getpid()
	r, err := fanout.with(t.Context(), c, Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	text := table.String()
	for _, never := range []string{"0 B per connection", "0 B, of it", "0.0 us", "NaN", "Inf"} {
		if strings.Contains(text, never) {
			t.Errorf("the table has %q:\n%s", never, text)
		}
	}
	for _, want := range []string{"RSS per connection           not measured", "CPU per handshake            not measured"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestEffort(t *testing.T) {
	tests := map[string]struct {
		cpu, busy float64 // of 10 s
		bound     bool
	}{
		"at ease":   {2, 2, false},
		"loop busy": {5, 9.5, true},
		"no CPU":    {1000, 5, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var from, to effort
			to.at = from.at.Add(10e9)
			to.cpu = inSeconds(tt.cpu)
			from.busy = append(from.busy, inSeconds(1))
			to.busy = append(to.busy, inSeconds(1+tt.busy))
			if e := to.since(from); e.Bound != tt.bound || e.Busy != tt.busy/10 {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
