package report

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/internal/loadgen/result"
)

func TestCompare(t *testing.T) {
	a, b := madeUp(20), madeUp(20)
	b.Fanout.DeliveredPS = 10100 // the seconds lie 100 apart
	b.Fanout.Due.P50 = 3e6       // the seconds are all alike
	b.Fanout.Missing = 4
	b.Server.RSSPerConnection = 601
	b.Settings.Connections = 2000
	c := Compare(&Run{Path: "a", Result: a}, &Run{Path: "b", Result: b})
	find := func(name string) Difference {
		i := slices.IndexFunc(c.Differences, func(d Difference) bool { return d.Figure == name })
		if i < 0 {
			t.Fatalf("%s is not compared", name)
		}
		return c.Differences[i]
	}
	tests := map[string]struct {
		opinion Opinion
		percent float64
	}{
		"delivered_per_second": {WithinNoise, 1},
		"delivery.p50":         {Differs, 200},
		"delivery.p99":         {Same, 0},
		"missing":              {Exact, 0},
		"rss_per_conn":         {WithinNoise, 100. / 600},
		"handshake.p50":        {Same, 0},
	}
	for name, tt := range tests {
		if d := find(name); d.Opinion != tt.opinion || d.Percent-tt.percent > 1e-9 || tt.percent-d.Percent > 1e-9 {
			t.Errorf("%s: %s, %v %%; want %s, %v %%", name, d.Opinion, d.Percent, tt.opinion, tt.percent)
		}
	}
	if want := []string{"clients: 1000, 2000"}; !slices.Equal(c.Unlike, want) {
		t.Errorf("unlike: %q, want %q", c.Unlike, want)
	}
	var out bytes.Buffer
	if err := c.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"clients: 1000, 2000", "+200.0 %", "within noise", "+-", "differs, a count", "+4"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestUnlike: every setting that shapes the load is held against the other's,
// where both runs tell.
func TestUnlike(t *testing.T) {
	a, b := new(result.Result), new(result.Result)
	a.Settings.Load, b.Settings.Load = new(result.Load), new(result.Load)
	v := reflect.ValueOf(b.Settings.Load).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int:
			f.SetInt(7)
		case reflect.Float64:
			f.SetFloat(0.25)
		case reflect.Bool:
			f.SetBool(true)
		}
		if got := len(unlike(a, b)); got != i+1 {
			t.Errorf("%s makes it %d that are not the same, want %d", v.Type().Field(i).Name, got, i+1)
		}
	}
	if a.Settings.Load = nil; len(unlike(a, b)) != 0 {
		t.Errorf("a run that does not tell: %q", unlike(a, b))
	}
}

// TestCompareWithoutNoise: a run of a few seconds says nothing of its spread.
func TestCompareWithoutNoise(t *testing.T) {
	a, b := madeUp(20), madeUp(4)
	b.Fanout.DeliveredPS = 20000
	b.Server = nil
	c := Compare(&Run{Result: a}, &Run{Result: b})
	for _, d := range c.Differences {
		if d.Figure == "delivered_per_second" && (d.Opinion != NoNoise || d.Noise != 0) {
			t.Errorf("%+v", d)
		}
	}
	if !slices.Contains(c.OnlyA, "rss_per_conn") || len(c.OnlyB) != 0 {
		t.Errorf("only in A: %q, only in B: %q", c.OnlyA, c.OnlyB)
	}
	if i := slices.IndexFunc(Compare(&Run{Result: &result.Result{}}, &Run{Result: &result.Result{}}).Differences,
		func(d Difference) bool { return d.Opinion != Same }); i >= 0 {
		t.Error("two empty runs differ")
	}
}
