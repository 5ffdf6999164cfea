package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseStages(t *testing.T) {
	tests := map[string]struct {
		text string
		want []Stage
		err  string
	}{
		"as documented": {text: "0->10k@500/s, hold 60s, ->0@1k/s",
			want: []Stage{{Target: 10000, Rate: 500}, {Target: 10000, Hold: time.Minute}, {Rate: 1000}}},
		"blanks":          {text: " 0 -> 5 @ 2.5/s ,hold  1m30s", want: []Stage{{Target: 5, Rate: 2.5}, {Target: 5, Hold: 90 * time.Second}}},
		"no rate":         {text: "->1.5k,1.5k->2M", want: []Stage{{Target: 1500}, {Target: 2000000}}},
		"empty":           {text: "", err: "want a ramp such as"},
		"only a hold":     {text: "hold 5s", err: "nobody to hold"},
		"never anybody":   {text: "->0", err: "0 clients already"},
		"wrong start":     {text: "->5,6->7", err: "starts at 6, but there are 5"},
		"standing still":  {text: "->5,->5", err: "hold TIME keeps them"},
		"half a client":   {text: "->0.5", err: "whole number"},
		"too many":        {text: "->100M", err: "want at most"},
		"no time":         {text: "->5,hold", err: "want a ramp"},
		"bad time":        {text: "->5,hold x", err: "want a time"},
		"negative time":   {text: "->5,hold -1s", err: "want a time"},
		"no unit of rate": {text: "->5@100", err: "want a rate such as"},
		"rate 0":          {text: "->5@0/s", err: "want a rate"},
		"two meanings":    {text: "->2m", err: "write M for a million"},
		"no number":       {text: "->many", err: "is not a whole number"},
		"not a number":    {text: "->nan", err: "is not a whole number"},
		"infinite":        {text: "->inf", err: "is not a whole number"},
		"trailing comma":  {text: "->5,", err: "want a ramp"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseStages(tt.text)
			if tt.err == "" {
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("got %v, %v, want %v", got, err, tt.want)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, %v, want an error with %q", got, err, tt.err)
			}
		})
	}
}

// A printed list is parsed as the same list.
func TestStagesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Stage
		at := 0
		for range rapid.IntRange(1, 8).Draw(t, "stages") {
			if at > 0 && rapid.Bool().Draw(t, "hold") {
				list = append(list, Stage{Target: at, Hold: time.Duration(rapid.Int64Range(1, 1e12).Draw(t, "ns"))})
				continue
			}
			s := Stage{Target: rapid.IntRange(0, maxConnections).Filter(func(n int) bool { return n != at }).Draw(t, "target")}
			if rapid.Bool().Draw(t, "paced") {
				s.Rate = float64(rapid.IntRange(1, 1e7).Draw(t, "rate"))
			}
			list, at = append(list, s), s.Target
		}
		var texts []string
		for _, s := range list {
			texts = append(texts, s.String())
		}
		got, err := ParseStages(strings.Join(texts, ","))
		if err != nil || !slices.Equal(got, list) {
			t.Fatalf("%q: got %v, %v, want %v", texts, got, err, list)
		}
	})
}
