package limit

import (
	"testing"
	"time"
)

// A client's first message, within the rate for its age, takes no memory's worth of allowance, and
// one that keeps sending is out of it after its burst; then it gets a number of errors.
func TestClientsRates(t *testing.T) {
	c := Clients{Started: time.Now().Add(-time.Hour), Rates: ClientRates{Messages: PerSecond(1, 5)}}
	const i = 7
	passed := 0
	for c.Message(i, 0) {
		passed++
	}
	if passed != 4 { // the first is charged with the second
		t.Errorf("%d messages pass", passed)
	}
	strikes := 0
	for !c.Strike(i) {
		strikes++
	}
	if strikes != MaxStrikes {
		t.Errorf("%d strikes", strikes)
	}
	c.Clear(i)
	if !c.Message(i, time.Hour) || c.Strike(i) {
		t.Error("the next client in its slot has its rate")
	}
}
