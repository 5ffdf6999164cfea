package account

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// The tallies of a run.
const (
	Failures   = iota // clients that never were ready
	Retries           // failed reconnects
	Losses            // of ready clients
	Errors            // error messages to ready clients
	Deferrals         // answers that asked a client to retry later
	Cuts              // connections that ended while a proxy was between
	SlowLosses        // slow clients that ended
	tallyKinds
)

// Tallies are all tallies of a loop, or the sums of several loops.
type Tallies [tallyKinds]Tally

// NewTallies returns empty tallies.
func NewTallies() (t Tallies) {
	for i := range t {
		t[i] = make(Tally)
	}
	return t
}

func (t *Tallies) Merge(from *Tallies) {
	for i := range t {
		t[i].merge(from[i])
	}
}

// Tally counts by reason. The server's texts can't make it grow without end.
type Tally map[Reason]uint64

func (t Tally) Add(r Reason, n uint64) {
	if _, known := t[r]; !known && r.Words() {
		wordings, bare := 0, r.bare()
		for other := range t {
			if other != bare && other.bare() == bare {
				wordings++
			}
		}
		if wordings >= maxWordings {
			r = bare
		}
	}
	if _, known := t[r]; !known && len(t) >= maxReasonVarieties {
		r = "other"
	}
	t[r] += n
}

func (t Tally) merge(from Tally) {
	for r, n := range from {
		t.Add(r, n)
	}
}

// Merged sums up tallies into a new one.
func Merged(of ...Tally) Tally {
	all := make(Tally)
	for _, t := range of {
		all.merge(t)
	}
	return all
}

// Closes leaves the reasons that a gateway gave: why a client's connection
// broke says something else once it was ready.
func (t Tally) Closes() Tally {
	all := make(Tally)
	for why, n := range t {
		if strings.HasPrefix(string(why), "closed ") {
			all[why] = n
		}
	}
	return all
}

// ByCount lists reasons, the most frequent first.
func ByCount(t Tally) []Reason {
	return slices.SortedFunc(maps.Keys(t), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(t[b], t[a]), cmp.Compare(a, b))
	})
}
