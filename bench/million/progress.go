package main

import "time"

// mark is a point of a curve: so many after so many seconds.
type mark struct {
	Seconds float64 `json:"s"`
	Count   int     `json:"n"`
}

// progress records how a count grows to its goal, as a curve of about a
// hundred points. It belongs to the clients' loop.
type progress struct {
	start time.Time
	goal  int
	count int
	curve []mark
}

// begin starts anew.
func (p *progress) begin(goal int) {
	*p = progress{start: time.Now(), goal: goal}
}

// note adds a point when the count has grown by a hundredth of the goal, or
// has begun or ended. It is called after each batch of events.
func (p *progress) note() {
	last := 0
	if n := len(p.curve); n > 0 {
		last = p.curve[n-1].Count
	}
	if p.count == last || p.count < p.goal && last > 0 && p.count-last < max(1, p.goal/100) {
		return
	}
	p.curve = append(p.curve, mark{Seconds: time.Since(p.start).Seconds(), Count: p.count})
}

// at returns the second at which a share of the goal was reached.
func at(curve []mark, goal int, share float64) float64 {
	for _, m := range curve {
		if float64(m.Count) >= share*float64(goal) {
			return m.Seconds
		}
	}
	return 0
}
