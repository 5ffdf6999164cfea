package account

import (
	"fmt"
	"testing"
)

// A server that says something else to every client does not fill a report.
func TestManyWordings(t *testing.T) {
	all, loop := make(Tally), make(Tally)
	for n := range 50 {
		loop.Add(StatusReason(403).With(fmt.Sprintf("user.%d is not allowed", n)), 1)
		loop.Add(TextReason(ReasonErrorEvent, []byte("forbidden")).With(fmt.Sprint(n)), 1)
	}
	all.merge(loop)
	all.merge(loop)
	if len(all) != 2*(maxWordings+1) || all["HTTP 403"] != 2*(50-maxWordings) || all["error: forbidden"] != 2*(50-maxWordings) {
		t.Errorf("%v", all)
	}
}
